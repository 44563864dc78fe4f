import Glibc
import GreenNet
import GreenTLS
import TestSupport
import Testing

extension EndToEnd {
    /// Faults on purpose, as a client meets them.
    @Suite(.serialized) struct PurposeTests {
        /// What a client got, and how the stream ended.
        private struct Answer {
            var bytes: [UInt8] = []
            var wasReset = false
        }

        private func answer(_ server: Server, to bytes: [UInt8], ends: Bool = true) throws -> Answer {
            let connection = try server.connect()
            defer { connection.close() }
            var answer = Answer()
            do throws(NetError) {
                try connection.sendAll(bytes)
                if ends { try connection.shutdownSending() }
                while let more = try connection.receive(until: .after(.patient(10))) { answer.bytes += more }
            } catch {
                guard [ECONNRESET, EPIPE].contains(error.errno?.code) else { throw error }
                answer.wasReset = true
            }
            return answer
        }

        @Test(arguments: ServerModel.all)
        func `an answer is held back for the delay`(model: ServerModel) throws {
            try withServer(model, ["--delay=0.2"]) { server in
                let start = Deadline.now
                try #expect(server.answer(to: "slow") == "SLOW")
                #expect(Deadline.now - start >= .milliseconds(200))
            }
        }

        @Test(arguments: ServerModel.all)
        func `answers take the time that the bandwidth leaves them`(model: ServerModel) throws {
            try withServer(model, ["--bandwidth=20K"]) { server in
                let start = Deadline.now
                let answer = try answer(server, to: Array(repeating: 97, count: 10_000))
                #expect(answer.bytes == Array(repeating: 65, count: 10_000))
                #expect(Deadline.now - start >= .milliseconds(450))
            }
        }

        @Test(arguments: ServerModel.all)
        func `a connection is reset after a number of bytes`(model: ServerModel) throws {
            try withServer(model, ["--reset-after=1000"]) { server in
                let answer = try answer(server, to: Array(repeating: 97, count: 5000), ends: false)
                #expect(answer.wasReset)
                // A reset may take away what is under way.
                #expect(answer.bytes.count <= 1000)
                #expect(answer.bytes.allSatisfy { $0 == 65 })
            }
        }

        @Test(arguments: ServerModel.all)
        func `a connection is reset after a time, though its client is silent`(model: ServerModel) throws {
            try withServer(model, ["--reset-after=0.2s"]) { server in
                let start = Deadline.now
                let answer = try answer(server, to: Array("hello".utf8), ends: false)
                #expect(answer.wasReset)
                #expect(answer.bytes == Array("HELLO".utf8))
                #expect(Deadline.now - start >= .milliseconds(190))
            }
        }

        @Test(arguments: ServerModel.all, ["100", "0.2s"])
        func `a connection is closed in order after a number of bytes or a time`(
            model: ServerModel, limit: String
        )
            throws
        {
            try withServer(model, ["--close-after=\(limit)"]) { server in
                let answer = try answer(server, to: Array(repeating: 97, count: 300), ends: false)
                #expect(!answer.wasReset)
                #expect(answer.bytes == Array(repeating: 65, count: limit == "100" ? 100 : 300))
            }
        }

        @Test(arguments: ServerModel.all)
        func `answers are cut, and the client's bytes are received on`(model: ServerModel) throws {
            try withServer(model, ["--truncate=3"]) { server in
                let connection = try server.connect()
                defer { connection.close() }
                try connection.sendAll("hello")
                try #expect(connection.receiveToEnd() == Array("HEL".utf8))
                // More than the kernel's buffers hold: only a server that receives takes it.
                try connection.send(32 << 20, of: .upper)
            }
        }

        @Test(arguments: ServerModel.all)
        func `with a probability of 1 each byte has one other bit`(model: ServerModel) throws {
            try withServer(model, ["--corrupt=1"]) { server in
                let answer = try answer(server, to: Array(repeating: 97, count: 1000))
                #expect(answer.bytes.count == 1000)
                #expect(answer.bytes.allSatisfy { ($0 ^ 65).nonzeroBitCount == 1 })
                #expect(Set(answer.bytes).count == 8)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a stalled connection gets nothing, and ends when its client does`(model: ServerModel) throws {
            try withServer(model, ["--stall"]) { server in
                let connection = try server.connect()
                try connection.sendAll("hello")
                let error = #expect(throws: NetError.self) { try connection.receive(until: .after(.milliseconds(300))) }
                #expect(error?.isTimeout == true)
                connection.close()
                try server.expectOnly(clients: 0)
            }
        }

        @Test(arguments: ServerModel.all)
        func `with a probability of 1 each connection is reset at once`(model: ServerModel) throws {
            try withServer(model, ["--refuse=1"]) { server in
                for _ in 0..<5 {
                    // The reset may come before the client hears that it is connected.
                    let error = #expect(throws: NetError.self) {
                        let connection = try server.connect()
                        defer { connection.close() }
                        if try connection.receive(until: .after(.patient(10))) == nil { throw Unexpected("an end") }
                    }
                    #expect(error?.errno?.code == ECONNRESET)
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `a rule counts for its clients only, and the drain ends a stalled connection`(model: ServerModel) throws {
            let arguments = ["--fault", "192.0.2.0/24=refuse:1", "--fault", "127.0.0.0/8=truncate:1", "--stall"]
            try withServer(model, arguments + ["--drain-timeout=0.1"]) { server in
                try #expect(server.answer(to: "abc") == "A")
            }
            try withServer(model, ["--stall", "--drain-timeout=0.1"]) { server in
                let connection = try server.connect()
                defer { connection.close() }
                try connection.sendAll("x")
                let isServed = try eventuallyOnHub { try server.program.tree().descriptors > server.idle.descriptors }
                #expect(isServed || model.isPool)
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        @Test func `the same seed makes the same choices, and the log has the seed`() throws {
            func run(_ seed: String) throws -> [Bool] {
                nonisolated(unsafe) var refused: [Bool] = []
                try withServer(.green, ["--fault=50%=reset-after:0", "--fault-seed=\(seed)"]) { server in
                    try server.program.waitForLine(containing: "fault_seed=\(seed)")
                    for _ in 0..<64 {
                        refused.append(try answer(server, to: [97], ends: false, waitsForOne: true).wasReset)
                    }
                }
                return refused
            }
            let first = try run("42")
            #expect(try run("42") == first)
            #expect(try run("43") != first)
            #expect(first.contains(true) && first.contains(false))
        }

        /// As `answer`, for a single byte: its answer, or the reset.
        private func answer(_ server: Server, to bytes: [UInt8], ends: Bool, waitsForOne: Bool) throws -> Answer {
            let connection = try server.connect()
            defer { connection.close() }
            try connection.sendAll(bytes)
            do throws(NetError) {
                let first = try connection.receive(until: .after(.patient(10)))
                return Answer(bytes: first ?? [], wasReset: false)
            } catch {
                guard error.errno?.code == ECONNRESET else { throw error }
                return Answer(wasReset: true)
            }
        }

        @Test(arguments: [ServerModel.green, .thread, .process])
        func `faults are done over TLS, to what is inside`(model: ServerModel) throws {
            try withTemporaryDirectory { directory in
                let files = TLSTests.Files(directory: directory)
                try files.write(Certificates.all.server)
                try withServer(model, files.serverOptions + ["--truncate=3"]) { server in
                    let authority = Certificates.all.authority.certificate
                    let tls = try server.secured(.client(roots: .pem(authority)))
                    defer { tls.close() }
                    try tls.sendAll("hello")
                    try #expect(tls.receiveToEnd() == Array("HEL".utf8))
                }
            }
        }
    }
}
