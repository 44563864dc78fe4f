/// The state of a `Generator`, which it shares with its body.
///
/// A value is not put anywhere: it goes as the address of where it lies, on the stack of the green thread that gives it.  The other one, which runs next,
/// copies it before anything else.
@usableFromInline
final class GeneratorCore: Coroutine {
    /// How many times the body of a closed generator may call `yield` before `close()` gives up.
    static let patience = 100

    /// Of the generator.
    private let type: Any.Type
    private var body: ((GeneratorCore) throws -> Void)?
    /// The green thread that is in `ask`; nil between two requests.
    @exclusivity(unchecked)
    private var asker: GreenThread?
    /// The body is in `yield`, where only a request resumes it; inside `shielded`, too.
    @exclusivity(unchecked)
    private var isAtYield = false
    /// What was sent; nil from `next()`.
    @exclusivity(unchecked)
    private var input: UnsafeRawPointer?
    /// What the body has yielded; nil where it has ended, or goes on though the generator was closed.
    @exclusivity(unchecked)
    private var output: UnsafeRawPointer?
    @exclusivity(unchecked)
    private var isClosed = false
    /// How many times the body has called `yield` without a request.
    private var refusals = 0

    init(of type: Any.Type, stackSize: Int?, _ body: @escaping (GeneratorCore) throws -> Void) {
        (self.type, self.body) = (type, body)
        super.init(name: "generator", stackSize: stackSize, valueType: nil)
    }

    override var kind: String { "\(type)" }

    // MARK: The side that asks

    /// The body runs, or waits for an event other than the next request: another generator's value, say.
    private var isBusy: Bool { isStarted && !isDead && !(isAtYield && isSuspended) }

    /// Lets the body go on until it yields a value, and returns that value's address; nil where the body has ended.
    ///
    /// The pending `yield` throws `error`, or returns what lies at `input`.  Throws as `Generator.next()` does.
    @usableFromInline
    func ask(sending input: UnsafeRawPointer?, throwing error: (any Error)?) throws -> UnsafeRawPointer? {
        let thread = ownThread()
        if !isAtYield || !isSuspended {
            if isDead { return nil }
            // Before any change: the body answers the first request.
            try begin(throwing: error)
        }
        (asker, self.input, pendingError) = (thread, input, error)
        defer { asker = nil }
        let wake = thread.handOver(to: self.thread!)
        if let error = thread.error(after: wake) { throw giveUp(error) }
        if pendingError != nil { throw takeError() }
        return output
    }

    @inline(never)  // Rare: once for each generator.
    private func begin(throwing error: (any Error)?) throws {
        if isBusy { throw FiberError.busy }
        if let error {
            isFinished = true
            throw error
        }
        try start()
        // On a hub that closes, it was killed.
        if !isSuspended { throw FiberError.busy }
    }

    /// For `send`.
    @usableFromInline
    func requireYield() { require(isStarted, "send before the first next(): no yield is there to return it") }

    /// The body may wait for an event itself, and its next value has no receiver any more.
    private func giveUp(_ error: WaitError) -> WaitError {
        if !isDead { kill() }
        return error
    }

    func close() throws {
        checkOwner()
        if isDead { return }
        if isBusy { throw FiberError.busy }
        isClosed = true
        do {
            _ = try ask(sending: nil, throwing: GreenletExit())
        } catch is GreenletExit {
        } catch WaitError.cancelled where isDead && refusals > 0 {}
        if refusals >= GeneratorCore.patience { throw FiberError.ignoredClose }
    }

    // MARK: The side of the body

    /// Gives what lies at `output` to the green thread that asks, and waits for the next request.  Returns the address of what was sent; nil from `next()`.
    ///
    /// Throws as `Yielder.yield` does.
    @usableFromInline
    func yield(_ output: UnsafeRawPointer) throws -> UnsafeRawPointer? {
        guard let thread, Context.running == thread else {
            programmingError("yield is called outside of the body of its generator")
        }
        guard let asker, asker.awaitsHandOver, !isClosed, !isKilled else { throw refusal() }
        self.output = output
        isAtYield = true
        defer { isAtYield = false }
        try leave(thread, for: asker)
        return input
    }

    private func refusal() -> WaitError {
        refusals += 1
        let asker = asker.flatMap { $0.awaitsHandOver ? $0 : nil }
        // The green thread that asked was killed, or its time is over, and ends the body when it runs next: that is no failure of the body.
        if asker == nil { kill() }
        if isClosed, refusals == GeneratorCore.patience {
            output = nil
            asker?.wake(.event)
            kill()
        }
        // A body that catches this for ever would otherwise keep all other green threads from running.
        Hub.currentThread.giveWay()
        return .cancelled
    }

    override func kill() {
        super.kill()
        if isAtYield { thread?.wake(.cancelled) }
    }

    override func runBody() -> (any Error)? {
        let body = body!
        self.body = nil
        do { try body(self) } catch { return error }
        return nil
    }

    /// Makes the green thread run next that asks.  None does where the generator was released, or its hub closes.
    override func end(with failure: (any Error)?) {
        if isKilled { return }
        guard let asker, asker.awaitsHandOver else { return report(failure) }
        (output, pendingError) = (nil, failure)
        setSuccessor(asker)
    }

    /// Whether `error` is the end of the generator that yields another's values, which releases the other.
    @usableFromInline
    static func isEnd(_ error: any Error) -> Bool { error is any WaitEnding }
}
