/// The inner side of a generator.  To be used in its body only, on its stack.
public struct Yielder<Output, Input> {
    // Not the fiber itself, which would never be released while it is held on its own stack.
    let core: FiberCore<GeneratorMessage<Output, Input>>
    let closing: GeneratorClosing

    /// Gives `output` to the caller of `next()` or `send(_:)`, and waits until the next value is asked for.  Returns the value that was sent; nil from `next()`.
    ///
    /// Throws what is thrown into the generator; and `WaitError.cancelled`, at each call, once the generator was released or closed, or the green thread
    /// that asked was killed: the call gives way then, and `output` is dropped.  The type is `any Error`, for `throwInto(_:)` takes any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func yield(_ output: Output) throws -> Input? {
        let running = FiberCore<GeneratorMessage<Output, Input>>.current
        require(running === core, "yield is called outside of the body of its generator")
        guard let asker else { throw refusal() }
        core.isAtYield = true
        defer { core.isAtYield = false }
        guard case .input(let input) = try asker.take(.success(.output(output))) else { return nil }
        return input
    }

    /// The green thread that waits for a value.
    private var asker: FiberCore<GeneratorMessage<Output, Input>>? {
        if closing.isClosed || core.isKilled { return nil }
        return core.parent.flatMap { $0.core.isSuspended ? $0.core : nil }
    }

    private func refusal() -> WaitError {
        closing.refusals += 1
        // The green thread that asked was killed, or its time is over, and ends the body when it runs next: that is no failure of the body.
        if core.parent?.core.isSuspended != true { core.kill() }
        if closing.isClosed, closing.refusals == GeneratorClosing.patience {
            core.parent?.core.wake(with: .goesOn)
            core.kill()
        }
        // A body that catches this for ever would otherwise keep all other green threads from running.
        Hub.currentThread.giveWay()
        return .cancelled
    }

    /// Yields all values of `other`, and passes on to it the values and errors that are sent and thrown meanwhile.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func yield(from other: Generator<Output, Input>) throws {
        var output = try other.next()
        while let value = output {
            switch Result(catching: { try yield(value) }) {
            case .success(let input?): output = try other.send(input)
            case .success(nil): output = try other.next()
            // The end of this generator, which releases the other.
            case .failure(let error as any WaitEnding): throw error
            case .failure(let error): output = try other.throwInto(error)
            }
        }
    }

    /// As the other `yield(from:)`; returns what the body of `other` has returned.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func yield<Returned>(from other: ReturningGenerator<Output, Input, Returned>) throws -> Returned {
        try yield(from: other as Generator<Output, Input>)
        return other.returned!
    }

    /// Yields all of `values`; values that are sent meanwhile are dropped.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func yield(from values: some Sequence<Output>) throws {
        for value in values { try yield(value) }
    }
}

@available(*, unavailable)
extension Yielder: Sendable {}

/// A generator whose body returns a value at its end.
public final class ReturningGenerator<Output, Input, Returned>: Generator<Output, Input> {
    private let result = GreenResult<Returned>()

    /// The value that the body has returned; nil until then.
    public var returned: Returned? { try? result.result?.get() }

    /// A generator that will run `body` at the first `next()`.  `stackSize` is in bytes, as for `spawn`.
    public init(stackSize: Int? = nil, _ body: @escaping (Body) throws -> Returned) {
        super.init(stackSize: stackSize) { [result] in result.set(try body($0)) }
    }
}
