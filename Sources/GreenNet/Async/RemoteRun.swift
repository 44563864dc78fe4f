extension RemoteHub {
    /// Runs `body` on a new green thread of the hub, and returns what it returns or throws what it throws.  For tasks: the OS thread of the task is not blocked
    /// meanwhile.
    ///
    /// Cancelling the task kills the green thread: its current wait and every later one throw.  The call returns once `body` has ended, as ever, and throws what
    /// `body` throws then: `CancellationError` where that is the error of its wait.  Of a task that was cancelled before, `body` does not begin.
    ///
    /// The green thread begins with a copy of the task-locals of the task, where `Hub.capabilities` says that tasks are kept apart.
    ///
    /// Throws `WaitError.closed` where the hub has closed or is closing, and where it closes before `body` has ended, unless `body` ends with a value or with an
    /// error of its own; and `SpawnError` where the hub has no stack for the green thread.  The type is `any Error`, for a body can throw any type.
    public nonisolated(nonsending) func run<Value: Sendable>(
        name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        let run = RemoteRun(GreenletOfTask(name: name, fileID: fileID, line: line, body))
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in run.begin(on: self, continuation) }
        } onCancel: {
            // Where the hub has closed, the green thread has ended.
            _ = callInHub { run.cancel() }
        }
    }
}

/// A green thread that a task has made.  From `begin` on it is touched on the hub's OS thread only.
private struct RemoteRun<Value: Sendable>: @unchecked Sendable {
    private let greenlet: GreenletOfTask<Value>

    init(_ greenlet: GreenletOfTask<Value>) { self.greenlet = greenlet }

    func begin(on hub: RemoteHub, _ continuation: UnsafeContinuation<Value, any Error>) {
        greenlet.continuation = continuation
        let isAccepted = hub.begin {
            greenlet.start()
        } orIfClosed: {
            greenlet.end(with: .failure(WaitError.closed))
        }
        if !isAccepted { continuation.resume(throwing: WaitError.closed) }
    }

    func cancel() { greenlet.cancel() }
}

/// A green thread that is awaited by one task, which it resumes.
private final class GreenletOfTask<Value: Sendable>: AnyGreenlet {
    private var body: (() throws -> Value)?
    /// Set before the green thread begins.
    var continuation: UnsafeContinuation<Value, any Error>?
    /// The task, which is suspended until it is resumed.
    private let task = TaskWords.currentTask
    /// The task was cancelled, maybe before the green thread was spawned.
    private var isCancelled = false

    private let givenName: String?
    private let site: SpawnSite

    init(name: String?, fileID: StaticString, line: UInt, _ body: @escaping () throws -> Value) {
        (self.body, givenName, site) = (body, name, SpawnSite(fileID: fileID, line: line))
        super.init()
        // The task gets what it throws.
        isObserved = true
    }

    override var name: String? { givenName }
    override var spawnSite: SpawnSite? { site }

    /// In the loop.
    func start() {
        begin(stackSize: nil, inheriting: false)
        if let failure { return end(with: .failure(failure)) }
        let thread = thread!
        if let task { thread.scheduler.inheritTaskLocals(thread, of: task) }
        if isCancelled { kill(throwing: CancellationError()) }
    }

    /// In the loop.
    func cancel() {
        isCancelled = true
        kill(throwing: CancellationError())
    }

    override func run() { end(with: outcome()) }

    private func outcome() -> Result<Value, any Error> {
        let body = body!
        self.body = nil
        if thread!.isCancelled { return killed() }
        do {
            return .success(try body())
        } catch let error as any WaitEnding where error.waitError == .cancelled && isKilled {
            return killed()
        } catch {
            fail(error)
            return .failure(error)
        }
    }

    private func killed() -> Result<Value, any Error> {
        let reason = killReason!
        fail(reason, killed: true)
        let hubCloses = reason is GreenletExit && thread!.scheduler.fields.pointee.killsNewcomers
        return .failure(hubCloses ? WaitError.closed : reason)
    }

    func end(with result: Result<Value, any Error>) {
        body = nil
        // The task may release it on another OS thread.
        endRoles()
        continuation!.resume(with: result)
    }
}
