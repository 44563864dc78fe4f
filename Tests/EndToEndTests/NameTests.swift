import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Names with dead addresses, and names on a machine without a network.  Each test has a network and a hosts file of its own.
    @Suite(
        .serialized,
        .enabled(if: NetworkNamespace.obstacle == nil, "needs root and ip(8): \(NetworkNamespace.obstacle ?? "")"))
    struct NameTests {
        /// An address from which no answer comes.
        private static let dead = "2001:db8:2::1"

        /// Runs `body` in a network whose only addresses are `addresses` and the loopback's.
        ///
        /// Packets to `dead` leave through a device whose other end ignores them.
        private func inNetwork(_ addresses: [String], _ body: @escaping @Sendable () throws -> Void) throws {
            try onOSThread {
                try NetworkNamespace.enter()
                try NetworkNamespace.run("link", "add", "near", "type", "veth", "peer", "name", "far")
                for device in ["near", "far"] { try NetworkNamespace.run("link", "set", device, "up") }
                try NetworkNamespace.run("route", "add", "\(NameTests.dead)/128", "dev", "near")
                // Else the kernel would ask for the neighbour, and report that there is none.
                try NetworkNamespace.run(
                    "neighbour", "add", NameTests.dead, "lladdr", "02:00:00:00:00:01", "dev", "near")
                for address in addresses { try NetworkNamespace.run("address", "add", address, "dev", "lo") }
                try body()
            }
        }

        /// Runs `echo-client` with `hosts` as /etc/hosts, in a mount namespace of its own.
        private func client(
            hosts: String, _ arguments: [String]
        ) throws -> (exit: Program.Exit, output: String, error: String) {
            try withTemporaryPath("hosts") { path in
                try write(hosts, to: path)
                let program = try Program.built("echo-client", arguments)
                let mount = "mount --bind \(path) /etc/hosts && exec \"$0\" \"$@\""
                let words = ["unshare", "--mount", "/bin/sh", "-c", mount, program.path] + program.arguments
                return try Program.run(Program.Launch("/usr/bin/env", words))
            }
        }

        @Test func `a name with a dead first address is reached at once through its second`() throws {
            try inNetwork(["2001:db8:1::1/128", "10.9.0.1/32"]) {
                try withServer(.green, ["--host", "10.9.0.1"]) { server in
                    let (port, start) = (try server.port, Deadline.now)
                    let hosts = "\(NameTests.dead) twin\n10.9.0.1 twin\n"
                    let result = try client(hosts: hosts, ["ping", "twin", "\(port)", "--timeout", "15"])
                    #expect(result.exit == .status(0), "\(result)")
                    #expect(result.output.hasPrefix("10.9.0.1:\(port) answered in "))
                    #expect(Deadline.now - start < .seconds(10))
                    // The first attempt was to the dead address.
                    #expect(Deadline.now - start >= .milliseconds(250))
                }
            }
        }

        @Test func `if no address of a name answers, the error has each address with its reason`() throws {
            try inNetwork(["2001:db8:1::1/128", "10.9.0.1/32"]) {
                let hosts = "\(NameTests.dead) twin\n10.9.0.1 twin\n"
                let result = try client(hosts: hosts, ["ping", "twin", "7", "--timeout", "1"])
                #expect(result.exit == .status(1))
                #expect(result.error.contains("twin:7: no connection within 1 second: "), "\(result)")
                for address in [
                    "[\(NameTests.dead)]:7: deadline passed", "10.9.0.1:7: connection refused (ECONNREFUSED)",
                ] {
                    #expect(result.error.contains(address), "\(result)")
                }
                let refused = try client(hosts: "::1 twin\n10.9.0.1 twin\n", ["ping", "twin", "7"])
                #expect(refused.exit == .status(1))
                for address in [
                    "cannot connect to twin:7: ", "[::1]:7: connection refused (ECONNREFUSED)",
                    "10.9.0.1:7: connection refused (ECONNREFUSED)",
                ] {
                    #expect(refused.error.contains(address), "\(refused)")
                }
            }
        }

        /// The C library's rule for the address families of a machine (`AI_ADDRCONFIG`) ignores the loopback.
        @Test(arguments: [[], ["2001:db8:1::1/128"], ["10.9.0.1/32"]])
        func `localhost is reached without a network and with only IPv4 or only IPv6`(addresses: [String]) throws {
            try inNetwork(addresses) {
                for (host, line) in [
                    ("127.0.0.1", "127.0.0.1 localhost\n"), ("::1", "::1 localhost\n"), ("127.0.0.1", ""),
                ] {
                    try withServer(.green, ["--host", host]) { server in
                        let port = "\(try server.port)"
                        let result = try client(hosts: line, ["ping", "localhost", port])
                        #expect(result.exit == .status(0), "\(host), \(line): \(result)")
                    }
                }
                try withServer(.green, ["--host", "localhost"]) { server in #expect(server.address.isLocal) }
            }
        }
    }
}
