import Glibc
import GreenNet
import TestSupport
import Testing

/// A proxy of the system, which passes what it accepts on to servers.
struct RunningProxy {
    let address: SocketAddress

    /// HAProxy in front of `servers`, each of which has the same `options` of a line `server`.
    static func haproxy(
        to servers: [SocketAddress], _ options: String, _ body: (RunningProxy) throws -> Void
    ) throws {
        try haproxy(to: servers, servers.map { _ in options }, backend: "", body)
    }

    /// HAProxy in front of `servers`, each with options of its own; `backend` is a further line.
    static func haproxy(
        to servers: [SocketAddress], _ options: [String], backend: String, _ body: (RunningProxy) throws -> Void
    ) throws {
        let lines = zip(servers, options).enumerated().map { "  server s\($0) \($1.0) \($1.1)" }
        try with("/usr/sbin/haproxy", { ["-db", "-f", $0] }) { address, _ in
            """
            defaults
              mode tcp
              timeout connect 5s
              timeout client 30s
              timeout server 30s
            frontend front
              bind \(address)
              unique-id-format %[uuid]
              default_backend back
            backend back
              \(backend)
            \(lines.joined(separator: "\n"))

            """
        } _: {
            try body($0)
        }
    }

    /// nginx in front of one server, with further `directives`.
    static func nginx(
        to server: SocketAddress, _ directives: String = "", _ body: (RunningProxy) throws -> Void
    ) throws {
        try with("/usr/sbin/nginx", { ["-c", $0] }) { address, directory in
            """
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            daemon off;
            master_process off;
            pid \(directory)/pid;
            error_log stderr;
            events {}
            stream {
              server {
                listen \(address);
                proxy_pass \(server);
                proxy_protocol on;
                \(directives)
              }
            }

            """
        } _: {
            try body($0)
        }
    }

    /// Starts a program with a file of settings, and runs `body` once it accepts.
    private static func with(
        _ path: String, _ arguments: (String) -> [String], settings: (SocketAddress, String) -> String,
        _ body: (RunningProxy) throws -> Void
    ) throws {
        try withTemporaryDirectory { directory in
            let (address, file) = (try freeAddress(), "\(directory)/settings")
            try write(settings(address, directory), to: file)
            let program = try Program(Program.Launch(path, arguments(file)))
            defer { program.end() }
            let accepts = try eventuallyOnHub {
                guard let connection = try? Connection.connect(to: address) else { return false }
                connection.close()
                return true
            }
            guard accepts else { throw program.failure("it does not accept at \(address)") }
            try body(RunningProxy(address: address))
        }
    }

    /// These programs do not say which port they get for 0.  Another program may take this one before they do, which is seldom: the kernel chooses at random.
    private static func freeAddress() throws -> SocketAddress {
        let listener = try Listener(on: .loopback(port: 0))
        defer { listener.close() }
        return listener.address
    }
}
