/// The inner side of a generator: for its body, on its stack, and nowhere else.
public struct Yielder<Output, Input> {
    // Not the fiber itself, which could not be dropped while it is held on this stack.
    let core: FiberCore<GeneratorMessage<Output, Input>>
    let closing: GeneratorClosing

    /// Gives `output` to whoever asked, and waits until the next value is asked for.  Returns what was sent; nil from `next()`.
    ///
    /// Throws what is thrown into the generator; and `WaitError.cancelled`, each time, once that was dropped or closed, or the one that asked was killed: it gives
    /// way then, and `output` is dropped.
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
        // The one that asked was killed, or its time is over, and ends the body at its next turn: that is no failure of the body's.
        if core.parent?.core.isSuspended != true { core.kill() }
        if closing.isClosed, closing.refusals == GeneratorClosing.patience {
            core.parent?.core.wake(with: .goesOn)
            core.kill()
        }
        // One that catches this for ever would else keep all others from running.
        Hub.currentThread.giveWay()
        return .cancelled
    }

    /// Gives all values of `other`, to which goes what is sent or thrown here meanwhile.
    public func yield(from other: Generator<Output, Input>) throws {
        var output = try other.next()
        while let value = output {
            switch Result(catching: { try yield(value) }) {
            case .success(let input?): output = try other.send(input)
            case .success(nil): output = try other.next()
            // The end of this generator, which drops the other.
            case .failure(let error as any WaitEnding): throw error
            case .failure(let error): output = try other.throwInto(error)
            }
        }
    }

    /// Gives all values of `other`; returns what that has returned.
    public func yield<Returned>(from other: ReturningGenerator<Output, Input, Returned>) throws -> Returned {
        try yield(from: other as Generator<Output, Input>)
        return other.returned!
    }

    /// Gives all of `values`; what is sent meanwhile is dropped.
    public func yield(from values: some Sequence<Output>) throws {
        for value in values { try yield(value) }
    }
}

@available(*, unavailable)
extension Yielder: Sendable {}

/// A generator whose body returns something at its end.
public final class ReturningGenerator<Output, Input, Returned>: Generator<Output, Input> {
    private let result = GreenResult<Returned>()

    /// What the body has returned; nil before.
    public var returned: Returned? { try? result.result?.get() }

    /// A generator that will run `body` at the first `next()`.
    public init(_ body: @escaping (Body) throws -> Returned) {
        super.init { [result] in result.set(try body($0)) }
    }
}
