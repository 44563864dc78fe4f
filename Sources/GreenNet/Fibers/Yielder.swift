/// The inner side of a generator.  To be used in its body only, on its stack.
public struct Yielder<Output, Input> {
    // Not the generator itself, which would never be released while it is held on its own stack.
    @usableFromInline
    let core: GeneratorCore

    /// Gives `output` to the caller of `next()` or `send(_:)`, and waits until the next value is asked for.  Returns the value that was sent; nil from `next()`.
    ///
    /// Throws what is thrown into the generator; and `WaitError.cancelled`, at each call, once the generator was released or closed, or the green thread
    /// that asked was killed: the call gives way then, and `output` is dropped.  The type is `any Error`, for `throwInto(_:)` takes any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    @inlinable  // here and below: only the caller's code knows the types of the values as it is compiled
    public func yield(_ output: Output) throws -> Input? {
        let input = try withAddress(of: output) { try core.yield($0) }
        return input?.assumingMemoryBound(to: Input.self).pointee
    }

    /// Yields all values of `other`, and passes on to it the values and errors that are sent and thrown meanwhile.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable
    public func yield(from other: Generator<Output, Input>) throws {
        var output = try other.next()
        while let value = output { output = try pass(value, of: other) }
    }

    /// Yields `value`, and returns what `other` yields next.
    @inlinable
    func pass(_ value: Output, of other: Generator<Output, Input>) throws -> Output? {
        let input: Input?
        do { input = try yield(value) } catch {
            // The end of this generator, which releases the other.
            if GeneratorCore.isEnd(error) { throw error }
            return try other.throwInto(error)
        }
        return if let input { try other.send(input) } else { try other.next() }
    }

    /// As the other `yield(from:)`; returns what the body of `other` has returned.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func yield<Returned>(from other: ReturningGenerator<Output, Input, Returned>) throws -> Returned {
        try yield(from: other as Generator<Output, Input>)
        return other.returned!
    }

    /// Yields all of `values`; values that are sent meanwhile are dropped.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable
    public func yield(from values: some Sequence<Output>) throws {
        for value in values { try yield(value) }
    }
}

@available(*, unavailable)
extension Yielder: Sendable {}
