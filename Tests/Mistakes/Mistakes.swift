// Each mistake that stops a program, made on purpose: `Mistakes --list` names them with what must then stand on standard error,
// `Mistakes NAME` makes one.  A program of its own, so that it can be built as programs are installed: optimised, with Swift's runtime inside.

import Glibc
import GreenNet
import GreenPatch

@main struct Mistakes {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments == ["--list"] { return list() }
        guard let mistake = all.first(where: { [$0.name] == arguments }) else { exit(64) }
        // An end for another reason has another status than a trap.
        do { try mistake.make() } catch { print("threw \(error)") }
        exit(1)
    }

    private static func list() {
        for mistake in all { print("\(mistake.name)\t\(mistake.message)") }
    }
}

struct Mistake: Sendable {
    let name: String
    /// A text that the program's last message must contain, where the numbers of OS threads and descriptors are replaced by N.
    let message: String
    let make: @Sendable () throws -> Void

    init(_ name: String, _ message: String, _ make: @escaping @Sendable () throws -> Void) {
        (self.name, self.message, self.make) = (name, message, make)
    }
}

let all = ofNumbers + ofStackSizes + ofLocks + ofGreenThreads + ofSockets + ofOtherThreads + ofTasks + ofSharedObjects

let ofNumbers = [
    Mistake("barrier", "a barrier for 0: it takes 1 green thread or more") { _ = GreenBarrier(0) },
    Mistake("semaphore", "a semaphore with -1 permits") { _ = GreenSemaphore(-1) },
    Mistake("remote-semaphore", "a semaphore with -1 permits") { _ = RemoteSemaphore(-1) },
    Mistake("queue", "a queue for -1 items") { _ = GreenQueue<Int>(limit: -1) },
    Mistake("queue-limit", "a queue for -1 items") { GreenQueue<Int>().limit = -1 },
    Mistake("remote-channel", "a channel for -1 items") { _ = RemoteChannel<Int>(limit: -1) },
    Mistake("pool", "a pool of -1 green threads") { _ = GreenPool(limit: -1) },
    Mistake("offload-pool", "a pool of 0 OS threads: it takes 1 or more") { _ = OffloadPool(limit: 0) },
    Mistake("given-up-limit", "a givenUpLimit of -1: it takes 0 or more") {
        _ = OffloadPool(limit: 1, givenUpLimit: -1)
    },
    Mistake("map-ahead", "0 items ahead: it takes 1 or more") {
        _ = try OffloadPool(limit: 1).map(1...3, ahead: 0) { $0 }
    },
    Mistake("shut-down-inside", "shutDown in a call of the same pool, for whose end it would wait") {
        let pool = OffloadPool(limit: 1)
        try pool.run { _ = try pool.shutDown() }
    },
    Mistake("process-pool-low", "a pool of 0 processes: it takes 1 to 4096") {
        _ = try ProcessPool(limit: 0) { (number: Int) in number }
    },
    Mistake("process-pool-high", "a pool of 4097 processes: it takes 1 to 4096") {
        _ = try ProcessPool(limit: 4097) { (number: Int) in number }
    },
    Mistake("calls-per-worker", "a callsPerWorker of 0: it takes 1 or more") {
        _ = try ProcessPool(limit: 1, callsPerWorker: 0) { (number: Int) in number }
    },
    Mistake("frame-limit-low", "a frameLimit of 0 bytes: it takes 1 to 1073741824 (1 GiB)") {
        _ = try ProcessPool(limit: 1, frameLimit: 0) { (number: Int) in number }
    },
    Mistake("frame-limit-high", "a frameLimit of 1073741825 bytes: it takes 1 to 1073741824 (1 GiB)") {
        _ = try ProcessPool(limit: 1, frameLimit: (1 << 30) + 1) { (number: Int) in number }
    },
    Mistake("worker-name", "a WorkerFunction named : a name is not empty and has no zero byte") {
        _ = WorkerFunction("") { (number: Int) in number }
    },
    Mistake("worker-unserved", "this process was started as a worker (100 squares), and makes a ProcessPool") {
        setenv("GREENNET_WORKER", "100 squares", 1)
        _ = try ProcessPool(limit: 1) { (number: Int) in number }
    },
    Mistake("child-descriptor", "descriptor N is not open") { _ = try ForkedChild(keeping: [1000]) { 0 } },
    Mistake("join-count", "joinAll with a count of -1") { try joinAll([GreenEvent](), count: -1) },
    Mistake("receive-buffer", "a receive buffer of 0 bytes: it takes 1 or more") { Hub.current.receiveBufferSize = 0 },
    Mistake("signal-low", "0 is no signal: they have the numbers 1 to 64") { _ = SignalWatcher(0) },
    Mistake("signal-high", "65 is no signal: they have the numbers 1 to 64") { _ = SignalWatcher(65) },
    Mistake("signal-kill", "SIGKILL and SIGSTOP can't be caught") { _ = SignalWatcher(SIGKILL) },
]

let ofStackSizes = [
    Mistake("stack-low", "a stack of 65535 bytes: it takes 65536 (64 KiB) to 1073741824 (1 GiB)") {
        spawn(stackSize: 65_535) {}
    },
    Mistake("stack-high", "a stack of 1073741825 bytes: it takes 65536 (64 KiB) to 1073741824 (1 GiB)") {
        spawn(stackSize: (1 << 30) + 1) {}
    },
    Mistake("stack-after", "a stack of 0 bytes") { spawn(after: .seconds(1), stackSize: 0) {} },
    Mistake("stack-negative", "a stack of -9223372036854775808 bytes") { spawn(stackSize: .min) {} },
    Mistake("stack-group", "a stack of 9223372036854775807 bytes") {
        try withGreenGroup { _ = $0.spawn(stackSize: .max) {} }
    },
    Mistake("stack-default-low", "a stack of 65535 bytes") { Hub.defaultStackSize = 65_535 },
    Mistake("stack-default-high", "a stack of 1073741825 bytes") { Hub.defaultStackSize = (1 << 30) + 1 },
    Mistake("stack-pool", "a stack of 65535 bytes") { _ = GreenPool(limit: 1, stackSize: 65_535) },
    Mistake("stack-member", "a stack of 65535 bytes") { try GreenPool(limit: 1).spawn(stackSize: 65_535) {} },
    Mistake("stack-server", "a stack of 65535 bytes") {
        _ = StreamServer(try loopback(), stackSize: 65_535) { _ in }
    },
    Mistake("stack-fiber", "a stack of 65535 bytes") { _ = Fiber<Int>(stackSize: 65_535) { $0 } },
    Mistake("stack-generator", "a stack of 65535 bytes") { _ = Generator<Int, Void>(stackSize: 65_535) { _ in } },
]

let ofLocks = [
    Mistake("release", "a lock is released by a green thread that does not hold it") { GreenLock().release() },
    Mistake("condition", "a green thread waits for a condition without its lock") { try GreenCondition().wait() },
    Mistake("permit", "a permit was given back that no green thread holds: all 1 are there") {
        GreenBoundedSemaphore(1).release()
    },
    Mistake("task-done", "taskDone() was called for more items than were put") { GreenQueue<Int>().taskDone() },
]

let ofGreenThreads = [
    Mistake("join-itself", "a green thread can't join itself") {
        _ = try spawn { try Greenlet.current.join() }.value()
    },
    Mistake("kill-main", "the main green thread can't be killed") { Greenlet.current.kill() },
    Mistake("wait-in-callback", "a call that waits, in a callback of the hub") {
        _ = Hub.current.remote.callInHub { try? Greenlet.sleep(for: .seconds(1)) }
        try Greenlet.sleep(for: .seconds(1))
    },
    Mistake("close-elsewhere", "Hub.close() is for the OS thread's main green thread") {
        try spawn { Hub.current.close() }.value()
    },
    Mistake("close-in-limit", "Hub.close() in withTimeout or shielded") {
        try withTimeout(.seconds(1)) { Hub.current.close() }
    },
    Mistake("virtual-hub", "Hub.startVirtual() on an OS thread that has a hub") {
        _ = Hub.current
        Hub.startVirtual()
    },
    Mistake("group", "a green thread is spawned into a group that has ended") {
        var escaped: GreenGroup?
        try withGreenGroup { escaped = $0 }
        escaped?.spawn {}
    },
    Mistake("fiber-family", "a fiber can't descend from itself") {
        let fiber = Fiber<Int> { $0 }
        fiber.parent = fiber
    },
    Mistake("yield-outside", "yield is called outside of the body of its generator") {
        let generator = Generator<Int, Void> { out in
            _ = try spawn { try out.yield(1) }.value()
        }
        _ = try generator.next()
    },
]

let ofSockets = [
    Mistake("buffer-in-use", "the receive buffer is in use already") {
        let connection = try connectedPair().0
        _ = try? connection.receive(until: .now + .milliseconds(1))
        Hub.current.receiveBufferSize = 1024
    },
    Mistake("buffer-lent", "the receive buffer is in use already") {
        let (connection, other) = try connectedPair()
        try other.sendAll("x")
        _ = try connection.withReceivedBytes { _ in Hub.current.receiveBufferSize = 1024 }
    },
    Mistake("two-receivers", "two green threads receive from descriptor") {
        let connection = try connectedPair().0
        for _ in 0..<2 { spawn { _ = try connection.receive() } }
        try Hub.current.run()
    },
    Mistake("two-senders", "two green threads send to descriptor") {
        let connection = try connectedPair().0
        for _ in 0..<2 { spawn { while true { try connection.sendAll([UInt8](repeating: 0, count: 1 << 20)) } } }
        try Hub.current.run()
    },
    Mistake("receive-up-to", "receive(upTo: 0): the limit is 1 byte or more") {
        _ = try connectedPair().0.receive(upTo: 0)
    },
    Mistake("receive-exactly", "receive(exactly: -1): the count is 0 bytes or more") {
        _ = try connectedPair().0.receive(exactly: -1)
    },
    Mistake("child-stream", "is not a connection: see ChildProcess.Options") {
        try withChild("sleep", ["10"], options: .init(output: .null)) { _ = $0.output }
    },
    Mistake("started-twice", "the server was started before") {
        let server = StreamServer(try loopback()) { _ in }
        server.start()
        server.start()
    },
]

func loopback() throws -> Listener { try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!) }

/// The hub is not run, so that a side that does not receive makes the other side wait.
func connectedPair() throws -> (Connection, Connection) {
    let listener = try loopback()
    let connection = try Connection.connect(to: listener.address)
    let other = try listener.accept()
    kept.append(other)
    return (connection, other)
}

/// A connection that is released is closed, and then no call would wait for it.
nonisolated(unsafe) var kept: [Connection] = []  // touched on the main OS thread only

let ofPatches = [
    Mistake("patched-call-without-hub", "GreenPatch.call outside a green thread") { try GreenPatch.call {} },
    Mistake("patched-call-before-install", "GreenPatch.call before GreenPatch.install()") {
        _ = Hub.current
        try GreenPatch.call {}
    },
]
