import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// What may be used on several OS threads after all; `Tests/Mistakes` has what stops the program.
@Suite struct OwnerTests {
    @Test func `an object that is made and filled without a hub is for the first hub that uses it`() throws {
        let kept = Kept<GreenQueue<Int>?>(GreenQueue())
        try #expect(kept.object!.tryPut(1))
        try onHub {
            try #expect(kept.object!.take() == 1)
            kept.object = nil
        }
    }

    @Test func `an object goes on with the next hub of its OS thread`() throws {
        try onOSThread {
            let queue = GreenQueue<Int>()
            spawn { try queue.put(1) }
            try Hub.current.run()
            Hub.current.close()
            try #expect(queue.tryPut(2))
            let items = [try queue.take(), try queue.take()]
            #expect(items == [1, 2])
            let late = spawn { try queue.take() }
            try Greenlet.yield()
            try queue.put(3)
            #expect(try late.value() == 3)
            Hub.current.close()
        }
    }

    @Test func `a pool that is made on one OS thread is for the hub of another`() throws {
        let kept = Kept<GreenPool?>(nil)
        try onHub { kept.object = GreenPool(limit: 1) }
        try onHub {
            try #expect(kept.object!.spawn { 1 }.value() == 1)
            kept.object = nil
        }
    }

    @Test func `a forked child goes on with its parent's objects`() async {
        await #expect(processExitsWith: .success) {
            try TestThread {
                let queue = GreenQueue<Int>()
                spawn { try queue.put(1) }
                try Greenlet.yield()
                let pid = try Fork.child(.init()) {
                    let item = try? queue.take()
                    spawn { try queue.put(2) }
                    return item == 1 && (try? queue.take()) == 2 ? 0 : 1
                }
                var status: Int32 = -1
                precondition(waitpid(pid, &status, 0) == pid && status == 0)
            }.value()
        }
    }

    @Test func `a connection whose hub has closed is closed and released on any OS thread`() throws {
        let (open, kept) = (Kept<Connection?>(nil), Kept<Connection?>(nil))
        try TestThread {
            for place in [open, kept] {
                let (connection, peer) = try connectedPair()
                // The loop watches it from here on.
                _ = try? connection.receive(until: .now + .milliseconds(1))
                peer.close()
                place.object = connection
            }
        }.value()
        open.object!.close()
        open.object = nil
        kept.object = nil
    }

    @Test func `a connection for which no call has waited is released on any OS thread`() throws {
        try onHub {
            let kept = Kept<Connection?>(nil)
            let (connection, peer) = try connectedPair()
            kept.object = consume connection
            peer.close()
            try TestThread { kept.object = nil }.value()
        }
    }

    @Test func `OS threads whose hubs have closed are forgotten, the oldest first`() throws {
        let owners = try (0..<70).map { _ in
            try TestThread {
                _ = Hub.current
                return Owner.here.number
            }.value()
        }
        #expect(Set(owners).count == 70)
        try TestThread {
            _ = Hub.current
            #expect(HubOwners.describe(.here).hasSuffix("whose hub lives"))
            #expect(HubOwners.describe(Owner(number: owners[0])) == "an OS thread whose hub has closed")
            #expect(HubOwners.describe(Owner(number: owners[69])).hasSuffix("), whose hub has closed"))
        }.value()
    }
}

/// Carries an object from one OS thread to another, which use it one after the other.
private final class Kept<Object>: @unchecked Sendable {
    var object: Object

    init(_ object: Object) { self.object = object }
}
