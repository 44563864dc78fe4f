import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The addresses on which the server can listen.
    @Suite(.serialized) struct AddressTests {
        private static let hasIPv6: Bool = {
            // Conditions of tests run as tasks of Swift's pool, whose OS threads have no hub.
            let canListen = TestThread {
                defer { Hub.current.close() }
                return (try? Listener(on: SocketAddress(ip: "::1", port: 0)!))?.close() != nil
            }
            return (try? canListen.value()) ?? false
        }()

        @Test(.enabled(if: hasIPv6, "no IPv6 here"), arguments: ServerModel.all)
        func `it listens on an IPv6 address`(model: ServerModel) throws {
            try withServer(model, ["--host", "::1"]) { server in
                #expect("\(server.address)".hasPrefix("[::1]:"))
                try #expect(server.answer(to: "six") == "SIX")
            }
        }

        @Test(.enabled(if: hasIPv6, "no IPv6 here"), arguments: ServerModel.all)
        func `it listens on all addresses`(model: ServerModel) throws {
            try withServer(model, ["--host", "::"]) { server in
                let port = try server.port
                for host in ["::1", "127.0.0.1"] {
                    let connection = try Connection.connect(to: SocketAddress(ip: host, port: port)!)
                    defer { connection.close() }
                    try connection.expect("HELLO", to: "hello")
                }
                let warnings = server.log.filter { $0.contains(" warning ") }
                #expect(warnings.count == 1)
                #expect(
                    warnings.allSatisfy {
                        $0.contains(
                            "reachable from other machines without per-client limits; consider setting them address=[::]:\(port) "
                        )
                    })
            }
        }

        @Test func `with all limits set, no warning about other machines is logged`() throws {
            let limits = ["--max-connections-per-ip", "10", "--idle-timeout", "60", "--write-timeout", "60"]
            try withServer(.green, ["--host", "0.0.0.0"] + limits) { server in #expect(server.log.isEmpty) }
        }

        @Test(arguments: ServerModel.all)
        func `a name is looked up, and no OS thread of the look-up is left`(model: ServerModel) throws {
            try withServer(model, ["--host", "localhost"]) { server in try #expect(server.answer(to: "name") == "NAME")
            }
        }

        @Test func `of two servers on one port, the second reports the address in use`() throws {
            try withServer { server in
                let port = try server.port
                let second = try Program.run(Server.launch(.green, ["--port", "\(port)"]))
                #expect(second.exit == .status(69))
                #expect(second.error.contains("127.0.0.1:\(port)"))
                #expect(second.error.contains(": address already in use (EADDRINUSE)"))
                #expect(second.error.split(separator: "\n").count == 1)
                try #expect(server.answer(to: "unharmed") == "UNHARMED")
            }
        }

        // MARK: Privileged ports

        private static let firstFreePort: Int = {
            let text = ProcessStatus.contents(of: "/proc/sys/net/ipv4/ip_unprivileged_port_start") ?? "1024"
            return Int(text.filter(\.isNumber)) ?? 1024
        }()

        /// Root gives up the privilege first.
        private static let dropsPrivilege = "setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service"

        private static let canDropPrivilege: Bool = {
            if geteuid() != 0 { return true }
            var launch = Program.Launch("/bin/sh", ["-c", "\(dropsPrivilege) true"])
            launch.redirections = "2>/dev/null"
            return (try? Program.run(launch))?.exit == .status(0)
        }()

        @Test(
            .enabled(if: firstFreePort > 80, "port 80 is for everybody here"),
            .enabled(if: canDropPrivilege, "no setpriv here"))
        func `without the privilege for a port the start ends with status 77 and names the port`() throws {
            var launch = try Server.launch(.green, ["--port", "80"])
            if geteuid() == 0 {
                (launch.path, launch.arguments) = (
                    "/bin/sh",
                    ["-c", #"exec \#(AddressTests.dropsPrivilege) "$0" "$@""#, launch.path] + launch.arguments
                )
            }
            let result = try Program.run(launch)
            #expect(result.exit == .status(77))
            #expect(result.error.contains("127.0.0.1:80"))
            #expect(result.error.contains("EACCES"))
        }

        /// This machine may get the address in a moment: a unit tries again.
        @Test func `an address of another machine ends the start with status 69`() throws {
            let result = try Program.run(Server.launch(.green, ["--host", "192.0.2.1"]))
            #expect(result.exit == .status(69))
            #expect(result.error.contains("192.0.2.1:0"))
            #expect(result.error.contains("EADDRNOTAVAIL"))
        }

        /// No name server is reachable there, and the look-up fails at once.
        @Test(.enabled(if: NetworkNamespace.obstacle == nil, "needs root"), arguments: [[], ["--check-config"]])
        func `before the network is up, a name ends the start with status 69`(options: [String]) throws {
            var launch = try Server.launch(.green, ["--host", "later.example"] + options)
            (launch.path, launch.arguments) = ("/usr/bin/unshare", ["--net", launch.path] + launch.arguments)
            let result = try Program.run(launch)
            #expect(result.exit == .status(69))
            #expect(result.error.hasPrefix("echo-server: cannot look up later.example: "))
        }

        @Test(arguments: ServerModel.all)
        func `with freebind it listens on an address of another machine`(model: ServerModel) throws {
            let arguments = ["--host", "192.0.2.1", "--admin", "192.0.2.1:0", "--freebind"]
            try withServer(model, arguments) { server in
                #expect("\(server.address)".hasPrefix("192.0.2.1:"))
                try server.program.waitForLine(containing: "admin on http://192.0.2.1:")
            }
        }

        @Test(.enabled(if: NetworkNamespace.obstacle == nil, "needs root and ip(8)"))
        func `with freebind it is reached as soon as the machine has the address`() throws {
            try onOSThread(.seconds(90)) {
                try NetworkNamespace.enter()
                try withServer(.green, ["--host", "192.0.2.1", "--freebind"]) { server in
                    #expect(throws: NetError.self) {
                        try Connection.connect(to: server.address, until: .after(.milliseconds(50)))
                    }
                    try NetworkNamespace.add(address: "192.0.2.1")
                    try #expect(server.answer(to: "late") == "LATE")
                }
            }
        }

        // MARK: Unix sockets

        /// Whether a user who is neither root nor the server's user can connect.
        private func others(canConnectTo path: String) throws -> Bool {
            var launch = try Program.built("echo-client", ["ping", "--timeout", "10", "--unix-socket", path])
            launch.arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", launch.path] + launch.arguments
            launch.path = "/usr/bin/setpriv"
            return try Program.run(launch).exit == .status(0)
        }

        private static let canChangeUser: Bool = {
            var launch = Program.Launch("/bin/sh", ["-c", "setpriv --reuid=65534 --regid=65534 --clear-groups true"])
            launch.redirections = "2>/dev/null"
            return (try? Program.run(launch))?.exit == .status(0)
        }()

        @Test(.enabled(if: canChangeUser, "needs root and setpriv(1)"), arguments: ServerModel.all)
        func `under a tight umask, others can connect to a path where its mode says so`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                chmod(directory, 0o755)
                let (path, admin) = ("\(directory)/echo", "\(directory)/admin")
                let arguments = ["--unix-socket", path, "--admin", admin]
                try withServer(model, arguments, adjust: { $0.setup = "umask 077" }) { _ in
                    try #expect(!others(canConnectTo: path))
                    #expect([mode(path), mode(admin)] == [0o700, 0o700])
                }
                let open = [
                    "--unix-socket-mode", "0666", "--admin-mode", "640", "--admin-owner", "7", "--admin-group", "65534",
                ]
                try withServer(model, arguments + open, adjust: { $0.setup = "umask 077" }) { _ in
                    try #expect(others(canConnectTo: path))
                    #expect([mode(path), mode(admin)] == [0o666, 0o640])
                    var status = stat()
                    #expect(lstat(admin, &status) == 0 && status.st_uid == 7 && status.st_gid == 65534)
                }
            }
        }

        private func mode(_ path: String) -> mode_t {
            var status = stat()
            return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0o10000
        }

        @Test(arguments: [("owner", "user"), ("group", "group")])
        func `an unknown owner or group ends the start with status 78 and is named`(
            what: String, kind: String
        ) throws {
            try withTemporaryPath { path in
                let arguments = ["--unix-socket", path, "--unix-socket-\(what)", "no-such-one"]
                let result = try Program.run(Server.launch(.green, arguments))
                #expect(result.exit == .status(78))
                #expect(result.error.contains("unix-socket-\(what): there is no \(kind) 'no-such-one'"))
                #expect(access(path, F_OK) != 0)
            }
        }

        @Test(.enabled(if: canChangeUser, "needs root and setpriv(1)"))
        func `without the right to change a path's owner the start ends with status 77 and leaves no path`() throws {
            try withTemporaryDirectory { directory in
                chmod(directory, 0o777)
                let path = "\(directory)/echo"
                var launch = try Server.launch(.green, ["--unix-socket", path, "--unix-socket-owner", "1"])
                launch.arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", launch.path] + launch.arguments
                launch.path = "/usr/bin/setpriv"
                let result = try Program.run(launch)
                #expect(result.exit == .status(77))
                #expect(result.error.contains(path) && result.error.contains("EPERM"))
                #expect(entries(of: directory) == [])
            }
        }

        @Test(arguments: ServerModel.all)
        func `a unix socket is served, and its path is removed at the end`(model: ServerModel) throws {
            try withTemporaryPath { path in
                try withServer(model, ["--unix-socket", path]) { server in
                    #expect("\(server.address)" == path)
                    try #expect(server.answer(to: "unix") == "UNIX")
                    try server.exchange(1 << 20, of: .upper)
                }
                #expect(access(path, F_OK) != 0)
            }
        }

        @Test(arguments: ServerModel.all)
        func `an abstract unix socket is served`(model: ServerModel) throws {
            try withServer(model, ["--unix-socket", "@greennet-\(getpid())"]) { server in
                try #expect(server.answer(to: "abstract") == "ABSTRACT")
            }
        }

        @Test(arguments: ServerModel.all)
        func `a path that a killed server has left behind is taken over`(model: ServerModel) throws {
            try withTemporaryPath { path in
                let first = try Server.start(model, ["--unix-socket", path])
                first.program.end()
                try #require(access(path, F_OK) == 0)
                try withServer(model, ["--unix-socket", path]) { server in
                    try #expect(server.answer(to: "next") == "NEXT")
                }
            }
        }

        @Test func `a path at which a server answers is left alone`() throws {
            try withTemporaryPath { path in
                try withServer(.green, ["--unix-socket", path]) { server in
                    let second = try Program.run(Server.launch(.green, ["--unix-socket", path]))
                    #expect(second.exit == .status(69))
                    #expect(second.error.contains(path))
                    try #expect(server.answer(to: "unharmed") == "UNHARMED")
                }
            }
        }

        @Test func `a file that is no socket is left alone`() throws {
            try withTemporaryPath("letter") { path in
                let file = open(path, O_CREAT | O_WRONLY, 0o600)
                try #require(write(file, "dear", 4) == 4)
                close(file)
                let result = try Program.run(Server.launch(.green, ["--unix-socket", path]))
                #expect(result.exit == .status(78))
                #expect(result.error == "echo-server: cannot bind \(path): it exists and is not a socket (ENOTSOCK)\n")
                #expect(ProcessStatus.contents(of: path) == "dear")
            }
        }

        @Test func `a directory at the socket's path is reported as a directory`() throws {
            try withTemporaryDirectory { path in
                let result = try Program.run(Server.launch(.green, ["--unix-socket", path]))
                #expect(result.exit == .status(78))
                #expect(result.error == "echo-server: cannot bind \(path): is a directory (EISDIR)\n")
            }
        }

        @Test func `a missing directory ends the start with status 78`() throws {
            let result = try Program.run(Server.launch(.green, ["--unix-socket", "/no/such/directory/socket"]))
            #expect(result.exit == .status(78))
            #expect(result.error.contains("/no/such/directory/socket"))
        }
    }
}
