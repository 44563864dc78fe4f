import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Calls that do less than they were asked to, as the kernel may at any time: they move fewer bytes, return EAGAIN or are interrupted.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"))
    struct ShortCallTests {
        /// A fork server's calls are not made to fail, and between it and the server messages arrive whole.
        private static let models = ServerModel.withoutForkServer

        @Test(arguments: models, [Faults.Call.recv, .send])
        func `if each call moves one byte, all bytes come back exactly`(model: ServerModel, call: Faults.Call) throws {
            let faults = try Faults()
            faults.limit(call, to: .atMost(1))
            try withServer(model, adjust: faults.preload) { server in
                try server.exchange(20_000, of: .upper)
                #expect(faults.made(call) >= 20_000)
            }
        }

        @Test(arguments: models)
        func `if each call moves a random number of bytes, all bytes come back exactly`(model: ServerModel) throws {
            let faults = try Faults()
            faults.limit(.recv, to: .random)
            faults.limit(.send, to: .random)
            try withServer(model, adjust: faults.preload) { server in
                try inParallel(3) { number in try server.exchange(4 << 20, of: .upper, from: number * 1000) }
            }
        }

        /// The calls that a signal may interrupt.  Every other call of each kind is interrupted.
        private static let interruptible: [Faults.Call] = [
            .accept4, .close, .connect, .epollWait, .open, .poll, .ppoll, .pselect, .read, .recv, .send, .waitpid,
            .pwritev2,
        ]

        @Test(arguments: models)
        func `if every other call is interrupted, all bytes come back exactly and nothing is left behind`(
            model: ServerModel
        ) throws {
            let faults = try Faults()
            for call in ShortCallTests.interruptible {
                faults.fail(call, 1...Int(Int32.max), every: 2, with: EINTR)
            }
            try withServer(model, adjust: faults.preload) { server in
                for _ in 0..<10 { try #expect(server.answer(to: "again") == "AGAIN") }
                try inParallel(ServerModel.fewClients) { number in
                    try server.exchange(1 << 20, of: .upper, from: number * 1000)
                }
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
            }
        }

        @Test(arguments: models)
        func `if calls often fail with EAGAIN, all bytes come back exactly`(
            model: ServerModel
        ) throws {
            let faults = try Faults()
            for call in [Faults.Call.recv, .send] { faults.fail(call, 1...Int(Int32.max), every: 3, with: EAGAIN) }
            try withServer(model, adjust: faults.preload) { server in
                try inParallel(3) { number in try server.exchange(1 << 20, of: .upper, from: number * 1000) }
            }
        }

        @Test func `the fault library fails only calls that programs make`() throws {
            let faults = try Faults()
            try withServer(adjust: faults.preload) { server in try #expect(server.answer(to: "well?") == "WELL?") }
            for call in Faults.Call.allCases { #expect(faults.isKnown(call), "\(call)") }
            #expect(faults.made(.recv) > 0)
        }
    }
}
