// Calls that wait, from async code.  No program: `Scripts/check-noasync.sh` compiles it, and expects the errors that the comments name, and no others.

import GreenNet

func waits(_ event: GreenEvent, _ lock: GreenLock, _ queue: GreenQueue<Int>, _ semaphore: GreenSemaphore) async throws {
    try event.wait()  // expected-error {{it parks a green thread; write `remote.run { }`}}
    try lock.withLock {}  // expected-error {{'withLock' is unavailable}}
    try semaphore.acquire()  // expected-error {{'acquire' is unavailable}}
    try queue.put(1)  // expected-error {{'put' is unavailable}}
    _ = try queue.take()  // expected-error {{'take' is unavailable}}
    while let item = try queue.next() {  // expected-error {{'next' is unavailable}}
        print(item)
    }
    _ = try waitAny([event])  // expected-error {{'waitAny' is unavailable}}
}

func talks(_ connection: Connection, _ listener: Listener, _ server: StreamServer) async throws {
    _ = try connection.receive()  // expected-error {{'receive' is unavailable}}
    try connection.sendAll("x")  // expected-error {{'sendAll' is unavailable}}
    _ = try Connection.connect(to: .loopback(port: 1))  // expected-error {{'connect' is unavailable}}
    _ = try listener.accept()  // expected-error {{'accept' is unavailable}}
    try server.run()  // expected-error {{'run' is unavailable}}
    _ = try ChildProcess.run("true")  // expected-error {{'run' is unavailable}}
}

func sleeps() async throws {
    try Greenlet.sleep(for: .seconds(1))  // expected-error {{use Task.sleep}}
    try Greenlet.yield()  // expected-error {{use Task.yield}}
    try withTimeout(.seconds(1)) {}  // expected-error {{'withTimeout' is unavailable}}
    _ = try withGreenGroup { $0.count }  // expected-error {{'withGreenGroup' is unavailable}}
    try spawn {}.join()  // expected-error {{'join' is unavailable}}
}

func usesTools(_ pool: ResourcePool<Int>, _ ticker: Ticker, _ lock: RemoteLock) async throws {
    try pool.withResource { _ in }  // expected-error {{'withResource' is unavailable}}
    _ = try ticker.next()  // expected-error {{'next' is unavailable}}
    try retry {}  // expected-error {{'retry' is unavailable}}
    _ = try gather({ 1 }, { 2 })  // expected-error {{'gather' is unavailable}}
    try withGreenGroup(limit: 2) { _ in }  // expected-error {{'withGreenGroup' is unavailable}}
    try lock.acquire()  // expected-error {{'acquire' is unavailable}}
}

/// A connection that no other code has may be sent to the task; it is the call that is refused.
func sendsToATask() throws {
    let connection = try Connection.connect(to: .loopback(port: 1))
    Task { try connection.sendAll([1]) }  // expected-error {{'sendAll' is unavailable}}
}

// What is right.
func awaits(_ lock: RemoteLock, _ event: RemoteEvent) async throws {
    try await lock.withLock {}
    try await event.wait()
}

func parks(_ queue: GreenQueue<Int>) async throws {
    _ = try parking { () throws(WaitError) in try queue.take() }
}
