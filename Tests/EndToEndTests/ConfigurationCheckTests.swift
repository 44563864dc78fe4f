import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `--check-config` reports the errors that a start would report, and changes nothing.
    @Suite(.serialized) struct ConfigurationCheckTests {
        private typealias Result = (exit: Program.Exit, output: String, error: String)

        private func check(_ arguments: [String], setup: String? = nil) throws -> Result {
            try Program.run(Server.launch(.green, arguments + ["--check-config"]) { $0.setup = setup })
        }

        /// Expects the same errors from a check and from a start.
        private func expectRefusal(_ arguments: [String], _ status: Int32, _ text: String, setup: String? = nil) throws
        {
            let checked = try check(arguments, setup: setup)
            #expect(checked.exit == .status(status), "\(arguments)")
            #expect(checked.error.contains(text), "\(checked.error)")
            #expect(checked.output == "" && checked.error.split(separator: "\n").count == 1)
            let started = try Program.run(Server.launch(.green, arguments) { $0.setup = setup })
            #expect(started.exit == checked.exit, "\(arguments)")
            #expect(started.error == checked.error)
        }

        @Test(
            arguments: [
                (["--host", "999.1.1.1"], 64, "999.1.1.1"),
                (["--host", "127.0.0.1:80"], 64, "the port goes to --port"),
                (["--host", "fe80::1"], 64, "fe80::1%eth0"), (["--host", "fe80::1%no-such0"], 69, "no-such0"),
                (["--host", "192.0.2.1"], 69, "EADDRNOTAVAIL"), (["--admin", "192.0.2.1:0"], 69, "EADDRNOTAVAIL"),
                (["--admin-owner", "no-such-user", "--admin", "/tmp/x/y"], 78, "no-such-user"),
                (["--unix-socket", "/no/such/directory/socket"], 78, "/no/such/directory/socket"),
                (["--admin", "/no/such/directory/socket"], 78, "/no/such/directory/socket"),
                (["--unix-socket", "/proc/version/socket"], 78, "ENOTDIR"), (["--unix-socket", "/tmp"], 78, "EISDIR"),
                (["--take-over", "/no/such/directory/socket"], 78, "/no/such/directory/socket"),
                (["--take-over", "/tmp"], 78, "EISDIR"), (["--take-over", "/proc/version"], 78, "ENOTSOCK"),
                (["--listen", "tcp:127.0.0.1:0,udp:192.0.2.1:5000"], 69, "EADDRNOTAVAIL"),
                (["--listen", "unix:/tmp/u,unix:/tmp/u"], 64, "has unix:/tmp/u twice"),
                (["--listen", "tcp:127.0.0.1:47001?dscp=1,tcp:127.0.0.1:47001"], 64, "has tcp:127.0.0.1:47001 twice"),
                (
                    ["--udp", "--listen", "tcp:127.0.0.1:47001,udp:127.0.0.1:47001"], 64,
                    "has udp:127.0.0.1:47001 twice"
                ),
                (["--record", "/no/such/directory/records"], 78, "/no/such/directory/records"),
                (["--record", "/tmp"], 78, "EISDIR"),
                (["--admin", "/tmp"], 78, "EISDIR"), (["--unix-socket", "/proc/version"], 78, "ENOTSOCK"),
            ] as [([String], Int32, String)])
        func `a check finds addresses that cannot be listened on`(
            arguments: [String], status: Int32, text: String
        ) throws {
            try expectRefusal(arguments, status, text)
        }

        @Test func `a check makes no file for records`() throws {
            try withTemporaryPath("records") { path in
                let result = try check(["--record", path])
                #expect(result.exit == .status(0), "\(result.error)")
                #expect(access(path, F_OK) != 0)
            }
        }

        @Test func `a check finds limits that cannot be kept`() throws {
            try expectRefusal(["--workers", "8"], 71, "descriptor limit too low: 20", setup: "ulimit -n 20")
        }

        @Test(arguments: [
            ["--host", "127.0.0.1", "--admin", "127.0.0.1"], ["--host", "0.0.0.0", "--admin", "127.0.0.1"],
            ["--host", "127.0.0.1", "--admin", "0.0.0.0"],
        ])
        func `a check finds one address for both the service and its admin interface`(arguments: [String]) throws {
            // The port was free a moment ago.
            let port = try onHub { try #require(Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!).address.port) }
            var arguments = arguments
            arguments[3] += ":\(port)"
            let result = try check(arguments + ["--port", "\(port)"])
            #expect(result.exit == .status(69))
            #expect(result.error.contains("--admin"))
            try #expect(Program.run(Server.launch(.green, arguments + ["--port", "\(port)"])).exit == .status(69))
        }

        @Test(arguments: ServerModel.all)
        func `a check does not disturb a running service, and reports no error for its addresses`(
            model: ServerModel
        ) throws {
            try withTemporaryPath { path in
                try withServer(model, ["--admin", path]) { server in
                    try #expect(server.answer(to: "before") == "BEFORE")
                    let client = try server.connect()
                    defer { client.close() }
                    try client.expect("STAY", to: "stay")
                    let before = identity(path)
                    for _ in 0..<5 {
                        let result = try check(model.arguments + ["--port", "\(server.port)", "--admin", path])
                        #expect(result.exit == .status(0))
                        #expect(result.output == "")
                        let notes = result.error.split(separator: "\n")
                        #expect(notes.count == 2 && notes.allSatisfy { $0.contains("is in use") }, "\(notes)")
                    }
                    #expect(identity(path) == before)
                    try client.expect("STILL", to: "still")
                    // No other client has connected.
                    try #expect(server.counts()["accepted"] == 2)
                }
            }
        }

        @Test func `a check leaves unix sockets as they are, served or left behind`() throws {
            try withTemporaryPath { path in
                let server = try Server.start(.green, ["--unix-socket", path])
                defer { server.program.end() }
                let before = identity(path)
                let served = try check(["--unix-socket", path])
                #expect(served.exit == .status(0) && served.error.contains("\(path) is in use"))
                try #expect(onHub { try server.counts()["accepted"] } == 0)
                server.program.end()
                let left = try check(["--unix-socket", path])
                #expect(left.exit == .status(0) && left.error == "")
                #expect(identity(path) == before && before != nil)
            }
        }

        @Test func `a check creates no path`() throws {
            try withTemporaryDirectory { directory in
                let result = try check(["--unix-socket", "\(directory)/a", "--admin", "\(directory)/b"])
                #expect(result.exit == .status(0) && result.error == "")
                #expect(entries(of: directory) == [])
            }
        }

        @Test(arguments: [
            ["--host", "192.0.2.1", "--admin", "192.0.2.1:0", "--freebind"], ["--unix-socket", "@greennet-check"],
            ["--host", "localhost"],
        ])
        func `a check of addresses that can be listened on prints nothing`(arguments: [String]) throws {
            let result = try check(arguments)
            #expect(result.exit == .status(0))
            #expect(result.error == "" && result.output == "")
        }

        /// Device and number of the file; nil if there is no file.
        private func identity(_ path: String) -> [UInt64]? {
            var status = stat()
            return lstat(path, &status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : nil
        }
    }
}
