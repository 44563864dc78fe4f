import Glibc
import GreenNet

/// Each kind of object that belongs to the main OS thread's hub, used on another OS thread: one that has a hub, and one that has none.
let ofOtherThreads = uses.flatMap { use in
    [true, false].map { hasHub in
        let other = hasHub ? "a hub of its own" : "no hub"
        return Mistake(
            "\(use.name)-\(hasHub ? "on-another-hub" : "off-hub")",
            "\(use.kind) of OS thread N (Mistakes), whose hub lives, is used on OS thread N (other), which has \(other)"
        ) {
            _ = Hub.current
            try use.prepare { body in onOtherThread(hasHub: hasHub, body) }
        }
    }
}

private struct Use: Sendable {
    let name: String
    let kind: String
    /// Makes an object of the main OS thread's hub, and passes on what another OS thread does with it.
    let prepare: @Sendable (_ elsewhere: (@escaping () throws -> Void) -> Void) throws -> Void

    init(
        _ name: String, _ kind: String,
        _ prepare: @escaping @Sendable (_ elsewhere: (@escaping () throws -> Void) -> Void) throws -> Void
    ) {
        (self.name, self.kind, self.prepare) = (name, kind, prepare)
    }
}

/// The calling OS thread is blocked meanwhile: its hub lives, and does nothing.
private func onOtherThread(hasHub: Bool, _ body: @escaping () throws -> Void) {
    nonisolated(unsafe) let body = body  // the mistake
    let thread = try! OSThread.start(named: "other") {
        if hasHub { _ = Hub.current }
        do { try body() } catch { print("threw \(error)") }
    }
    thread.join()
}

private let uses = ofSync + ofQueues + ofThreads + ofNet + ofSystem

private let ofSync = [
    Use("event", "GreenEvent") { elsewhere in
        let event = GreenEvent()
        spawn { try event.wait() }
        try Greenlet.yield()
        elsewhere { event.set() }
    },
    Use("event-wait", "GreenEvent") { elsewhere in
        let event = GreenEvent()
        spawn { try event.wait() }
        try Greenlet.yield()
        elsewhere { try event.wait() }
    },
    Use("event-among-several", "GreenEvent") { elsewhere in
        let event = GreenEvent()
        spawn { try event.wait() }
        try Greenlet.yield()
        elsewhere { _ = try waitAny([event]) }
    },
    Use("result", "GreenResult<Int>") { elsewhere in
        let result = GreenResult<Int>()
        spawn { try result.wait() }
        try Greenlet.yield()
        elsewhere { result.set(1) }
    },
    Use("semaphore", "GreenSemaphore") { elsewhere in
        let semaphore = GreenSemaphore(1)
        try semaphore.acquire()
        elsewhere { semaphore.release() }
    },
    Use("bounded-semaphore", "GreenBoundedSemaphore") { elsewhere in
        let semaphore = GreenBoundedSemaphore(1)
        try semaphore.acquire()
        elsewhere { semaphore.release() }
    },
    Use("lock", "GreenLock") { elsewhere in
        let lock = GreenLock()
        try lock.acquire()
        elsewhere { try lock.withLock {} }
    },
    Use("condition", "GreenCondition") { elsewhere in
        let condition = GreenCondition()
        spawn { try condition.lock.withLock { _ = try condition.wait() } }
        try Greenlet.yield()
        elsewhere { condition.signal() }
    },
    Use("barrier", "GreenBarrier") { elsewhere in
        let barrier = GreenBarrier(2)
        spawn { try barrier.wait() }
        try Greenlet.yield()
        elsewhere { try barrier.wait() }
    },
]

private let ofQueues = [
    Use("queue-take", "GreenQueue<Int>") { elsewhere in
        let queue = GreenQueue<Int>()
        try queue.put(1)
        elsewhere { _ = try queue.take() }
    },
    Use("queue-put", "GreenQueue<Int>") { elsewhere in
        let queue = GreenQueue<Int>()
        spawn { try queue.take() }
        try Greenlet.yield()
        elsewhere { try queue.put(1) }
    },
    Use("channel", "GreenChannel<Int>") { elsewhere in
        let channel = GreenChannel<Int>()
        spawn { try channel.put(1) }
        try Greenlet.yield()
        elsewhere { _ = try channel.take() }
    },
]

private let ofThreads = [
    Use("hub-run", "Hub") { elsewhere in
        let hub = Hub.current
        elsewhere { try hub.run() }
    },
    Use("hub-dump", "Hub") { elsewhere in
        let hub = Hub.current
        elsewhere { print(hub) }
    },
    Use("greenlet-join", "Greenlet<Int>") { elsewhere in
        let greenlet = spawn { 1 }
        elsewhere { try greenlet.join() }
    },
    Use("greenlet-kill", "Greenlet<Int>") { elsewhere in
        let greenlet = spawn { 1 }
        elsewhere { greenlet.kill() }
    },
    Use("greenlet-result", "Greenlet<Int>") { elsewhere in
        let greenlet = spawn { 1 }
        elsewhere { _ = greenlet.result }
    },
    Use("link", "Link") { elsewhere in
        let link = spawn {}.link { _ in }
        elsewhere { link.cut() }
    },
    Use("group-spawn", "GreenGroup") { elsewhere in
        try withGreenGroup { group in elsewhere { group.spawn {} } }
    },
    Use("pool-spawn", "GreenPool") { elsewhere in
        let pool = GreenPool(limit: 2)
        try pool.spawn { try Greenlet.sleep(for: .seconds(60)) }
        elsewhere { _ = try pool.spawn {} }
    },
    Use("fiber", "Fiber<Int>") { elsewhere in
        let main = Fiber<Int>.current
        let fiber = Fiber<Int> { try main.switchTo($0) }
        try fiber.switchTo(1)
        elsewhere { try fiber.switchTo(2) }
    },
    Use("fiber-release", "Fiber<Int>") { elsewhere in
        let main = Fiber<Int>.current
        var fiber: Fiber? = Fiber<Int> { try main.switchTo($0) }
        try fiber?.switchTo(1)
        let last = Last(fiber!)
        fiber = nil
        elsewhere { last.object = nil }
    },
    Use("generator", "Generator<Int, ()>") { elsewhere in
        let generator = Generator<Int, Void> { out in while true { try out.yield(1) } }
        _ = try generator.next()
        elsewhere { _ = try generator.next() }
    },
]

private let ofNet = [
    Use("connection-receive", "Connection (descriptor N)") { elsewhere in
        let connection = try connectedPair().0
        elsewhere { _ = try connection.receive() }
    },
    Use("connection-send", "Connection (descriptor N)") { elsewhere in
        let connection = try connectedPair().0
        elsewhere { try connection.sendAll("x") }
    },
    Use("connection-close", "Connection (descriptor N)") { elsewhere in
        let connection = try connectedPair().0
        elsewhere { connection.close() }
    },
    Use("connection-release", "Connection (descriptor N)") { elsewhere in
        // The loop has its address since the wait.
        var connection: Connection? = try connectedPair().0
        _ = try? connection?.receive(until: .now + .milliseconds(1))
        let last = Last(connection!)
        connection = nil
        elsewhere { last.object = nil }
    },
    Use("listener", "Listener (descriptor N)") { elsewhere in
        let listener = try loopback()
        elsewhere { _ = try listener.accept() }
    },
    Use("server", "StreamServer") { elsewhere in
        let server = StreamServer(try loopback()) { _ in }
        server.start()
        elsewhere { try server.stop() }
    },
]

private let ofSystem = [
    Use("child", "ChildProcess") { elsewhere in
        // It ends with its input.
        try withChild("cat") { child in
            child.send(SIGCONT)
            elsewhere { _ = try child.wait() }
        }
    },
    Use("signal-watcher", "SignalWatcher") { elsewhere in
        let watcher = SignalWatcher(SIGUSR1)
        elsewhere { _ = try watcher.wait() }
    },
]

/// Holds the last reference to an object.
private final class Last<Object> {
    var object: Object?

    init(_ object: Object) { self.object = object }
}
