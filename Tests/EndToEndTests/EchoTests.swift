import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// What clients send and what they receive.
    @Suite(.serialized) struct EchoTests {
        @Test(arguments: ServerModel.all)
        func `a greeting comes back in capitals, and the end follows the client's`(model: ServerModel) throws {
            try withServer(model) { server in
                try #expect(server.answer(to: "hello, wörld") == "HELLO, WöRLD")
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that sends nothing gets nothing, and the end`(model: ServerModel) throws {
            try withServer(model) { server in try #expect(server.answer(to: "") == "") }
        }

        @Test(arguments: ServerModel.all)
        func `each of the 256 bytes comes back, the small letters as capitals`(model: ServerModel) throws {
            let bytes = (0...255).map { UInt8($0) }
            try withServer(model) { server in
                let expected = bytes.map { (97...122).contains($0) ? $0 - 32 : $0 }
                try #expect(server.answer(to: bytes) == expected)
            }
        }

        @Test(arguments: ServerModel.all)
        func `with the echo transform, each of the 256 bytes comes back as it was`(model: ServerModel) throws {
            let bytes = (0...255).map { UInt8($0) }
            try withServer(model, ["--transform", "echo"]) { server in
                try #expect(server.answer(to: bytes) == bytes)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a conversation continues line by line until the client ends it`(model: ServerModel) throws {
            try withServer(model) { server in
                let connection = try server.connect()
                defer { connection.close() }
                for number in 0..<1000 { try connection.expect("LINE \(number)\n", to: "line \(number)\n") }
            }
        }

        // MARK: Many bytes

        private static let much = (isLongRun ? 1 << 30 : 64 << 20) / (Sanitizer.active == .none ? 1 : 8)

        /// How much more memory a server may use for one client than without.
        private static let mostGrowth = 6 << 20

        @Test(arguments: ServerModel.all, ["upper", "echo"])
        func `many random bytes come back exactly, in little memory`(model: ServerModel, transform: String) throws {
            try withServer(model, ["--transform", transform], limit: isLongRun ? .seconds(600) : .seconds(30)) {
                server in
                let before = try server.program.tree().residentMemory
                try server.exchange(EchoTests.much, of: transform == "upper" ? .upper : .echo)
                if Sanitizer.active == .none {
                    let peak = try server.program.tree().peakResidentMemory
                    #expect(peak - before < EchoTests.mostGrowth, "\(peak) bytes, \(before) before")
                }
            }
        }

        @Test(arguments: ServerModel.all)
        func `bytes sent one by one come back exactly`(model: ServerModel) throws {
            let count = isLongRun ? 1 << 20 : Sanitizer.scaled(128 << 10, address: 16 << 10, thread: 16 << 10)
            try withServer(model, limit: .seconds(120)) { server in
                try server.exchange(count, of: .upper, pieces: { 1 })
            }
        }

        @Test(arguments: ServerModel.all)
        func `bytes sent in pieces of any size come back exactly`(model: ServerModel) throws {
            try withServer(model) { server in
                var random = SeededRandom(seed: 11)
                // Each order of magnitude is equally likely.
                try server.exchange(8 << 20, of: .upper) {
                    Int.random(in: 1...(1 << Int.random(in: 0...17, using: &random)), using: &random)
                }
            }
        }

        @Test(arguments: ServerModel.all, [1, 7, 4096, 1 << 20])
        func `a buffer of any size gives the same answer`(model: ServerModel, size: Int) throws {
            let count = size < 4096 ? 5000 * size : 1 << 20
            try withServer(model, ["--buffer-size", "\(size)"]) { server in try server.exchange(count, of: .upper) }
        }

        @Test(arguments: ServerModel.all)
        func `a client that ends its side gets all it is owed, then the end and no reset`(model: ServerModel) throws {
            try withServer(model) { server in
                try inParallel(10) { number in
                    let connection = try server.connect()
                    defer { connection.close() }
                    // The kernel's buffers are full and the client does not read: the server can't send when the end of the stream comes.
                    let (count, start) = (try connection.sendUntilFull(of: .upper, from: number * 1000), number * 1000)
                    try connection.shutdownSending()
                    // A reset would throw here.
                    try #expect(connection.expect(.upper, from: start) == count)
                }
            }
        }
    }
}

extension Connection {
    /// Sends up to `limit` bytes, until the other side takes nothing for a while; returns the number of bytes sent.
    func sendUntilFull(of stream: RandomStream, from start: Int = 0, limit: Int = 64 << 20) throws -> Int {
        var sent = 0
        while sent < limit {
            do throws(NetError) {
                sent += try stream.withBytes(start + sent, 65_536) { (bytes) throws(NetError) in
                    try send(bytes, until: .after(.patient(0.05)))
                }
            } catch {
                if error.waitError == .deadlinePassed { break }
                throw error
            }
        }
        return sent
    }
}
