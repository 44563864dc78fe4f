import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// HUP: the configuration is read again, in every process that serves.
    @Suite(.serialized) struct ReloadTests {
        private func withConfiguredServer(
            _ model: ServerModel, _ text: String, _ arguments: [String] = [],
            _ body: @escaping @Sendable (Server, _ rewrite: @Sendable (String) throws -> Void) throws -> Void
        ) throws {
            try withTemporaryPath("settings") { path in
                try write(text, to: path)
                try withServer(model, ["--config", path] + arguments) { server in
                    try body(server) { text in
                        try write(text, to: path)
                        server.program.send(SIGHUP)
                    }
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `new connections have the new settings, and open ones keep theirs`(model: ServerModel) throws {
            try withConfiguredServer(model, "transform = echo") { server, rewrite in
                let old = try server.connect()
                defer { old.close() }
                try old.expect("as it is", to: "as it is")
                try rewrite("transform = upper")
                _ = try server.program.waitForLine(containing: "settings reloaded changed=transform")
                for _ in 0..<8 { try #expect(server.answer(to: "new") == "NEW") }
                try old.expect("still as it is", to: "still as it is")
            }
        }

        @Test(arguments: ServerModel.all)
        func `an error in the file is logged with file and line, and changes nothing`(model: ServerModel) throws {
            try withConfiguredServer(model, "transform = echo") { server, rewrite in
                try #expect(server.answer(to: "one") == "one")
                try rewrite("transform = upper\nprot = 80")
                let line = try server.program.waitForLine(containing: "not reloaded")
                #expect(line.contains("settings:2: unknown setting 'prot'"))
                for _ in 0..<8 { try #expect(server.answer(to: "two") == "two") }
                try rewrite("transform = upper")
                _ = try server.program.waitForLine(containing: "settings reloaded changed=transform")
                try #expect(server.answer(to: "three") == "THREE")
            }
        }

        @Test(arguments: ServerModel.all)
        func `a hundred HUPs, half of them with an error in the file, disturb no client`(model: ServerModel) throws {
            try withConfiguredServer(model, "log-level = info") { server, rewrite in
                let client = try server.connect()
                for number in 0..<100 {
                    try rewrite(number % 2 == 0 ? "log-level = info" : "log-level = loud")
                    try client.expect("LINE \(number)", to: "line \(number)")
                }
                client.close()
                // Signals that arrive together may count as one.
                try server.program.waitOnHub(forLineContaining: "not reloaded")
                try rewrite("transform = echo")
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=transform")
                try #expect(server.answer(to: "at last") == "at last")
            }
        }

        @Test(arguments: ServerModel.all)
        func `a file that is unreadable or missing is an error and changes nothing`(model: ServerModel) throws {
            try withTemporaryPath("settings") { path in
                try write("transform = echo", to: path)
                try withServer(model, ["--config", path]) { server in
                    unlink(path)
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "not reloaded")
                    try #expect(server.answer(to: "as before") == "as before")
                    mkdir(path, 0o700)
                    defer { rmdir(path) }
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "not reloaded", count: 2)
                    try #expect(server.answer(to: "as before") == "as before")
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `every process uses the file as it was at the signal, not as it is later`(
            model: ServerModel
        ) throws {
            try withTemporaryPath("settings") { path in
                try write("transform = echo", to: path)
                try withServer(model, ["--config", path]) { server in
                    try write("transform = upper", to: path)
                    server.program.send(SIGHUP)
                    _ = try server.program.waitForLine(containing: "settings reloaded changed=transform")
                    // The file is being edited.
                    try write("transform = echo", to: path)
                    for _ in 0..<8 { try #expect(server.answer(to: "new") == "NEW") }
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `a larger limit lets waiting clients in`(model: ServerModel) throws {
            try withConfiguredServer(model, "max-connections = 1") { server, rewrite in
                let first = try server.connect()
                defer { first.close() }
                try first.expect("FIRST", to: "first")
                let second = try server.connect()
                defer { second.close() }
                try second.sendAll(Array("second".utf8))
                #expect(throws: NetError.self) { try second.receive(until: .after(.milliseconds(100))) }
                try rewrite("max-connections = 2")
                var answer: [UInt8] = []
                while answer.count < 6, let bytes = try second.receive(until: .after(.patient(10))) { answer += bytes }
                #expect(answer == Array("SECOND".utf8))
            }
        }

        @Test func `a file that has become a pipe is an error and blocks no client`() throws {
            try withTemporaryPath("settings") { path in
                try write("transform = echo", to: path)
                try withServer(.green, ["--config", path]) { server in
                    #expect(unlink(path) == 0 && mkfifo(path, 0o600) == 0)
                    server.program.send(SIGHUP)
                    _ = try server.program.waitForLine(containing: "not reloaded")
                    try #expect(server.answer(to: "still") == "still")
                }
            }
        }

        @Test func `settings that need a restart are named in the log`() throws {
            try withConfiguredServer(.green, "backlog = 16") { server, rewrite in
                try rewrite("backlog = 32")
                _ = try server.program.waitForLine(
                    containing: "settings reloaded changed=none need_restart=backlog")
            }
        }

        @Test func `without a configuration file, nothing changes`() throws {
            try withServer(.green) { server in
                server.program.send(SIGHUP)
                _ = try server.program.waitForLine(containing: "settings reloaded changed=none need_restart=none")
                try #expect(server.answer(to: "still") == "STILL")
            }
        }
    }
}
