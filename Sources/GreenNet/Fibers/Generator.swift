/// A coroutine that yields values one at a time, and goes on when the next value is asked for.
///
///     let numbers = Generator<Int, Void> { out in for number in 0... { try out.yield(number) } }
///     while let number = try numbers.next() { print(number) }
///
/// It has a stack of its own; while a call inside it waits, the caller of `next()` waits too.  There is no `for` loop over a generator, for that can't
/// throw what the body throws.
///
/// When a generator is released before its end, the body unwinds: the pending `yield` throws `WaitError.cancelled`, and so does each later one.  A body that
/// catches the error and goes on is like a killed green thread that goes on: it gives way at each `yield`, and lives until it ends.
/// For one OS thread: see <doc:WithAsyncCode>.
public class Generator<Output, Input> {
    /// The body yields its values to it, and gets the values that are sent.
    public typealias Body = Yielder<Output, Input>

    @usableFromInline
    final let core: GeneratorCore

    /// A generator that will run `body` at the first `next()`.  `body` must not hold the generator itself.
    /// `stackSize` is in bytes, as for `spawn`.
    public init(stackSize: Int? = nil, _ body: @escaping (Body) throws -> Void) {
        core = GeneratorCore(of: Self.self, stackSize: stackSize) { core in try body(Body(core: core)) }
    }

    deinit { core.drop() }

    /// Whether the body has ended.
    public final var isDone: Bool { core.isDead }

    /// Returns the next value; nil once the body has ended.  The pending `yield` returns nil.  Callable from any green thread of the same OS thread.
    ///
    /// Throws what the body throws, which ends it; `WaitError` when the caller is killed or an enclosing time limit is over, which ends the generator too;
    /// and `FiberError.busy` while another green thread waits for the next value.  The type is `any Error`, for the body can throw any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable  // here and below: only the caller's code knows the types of the values as it is compiled
    public final func next() throws -> Output? {
        try core.ask(sending: nil, throwing: nil)?.assumingMemoryBound(to: Output.self).pointee
    }

    /// Makes the pending `yield` return `input`, and returns the next value; otherwise as `next()`.  Not before the first `next()`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    @inlinable
    public final func send(_ input: Input) throws -> Output? {
        core.requireYield()
        let output = try withAddress(of: input) { try core.ask(sending: $0, throwing: nil) }
        return output?.assumingMemoryBound(to: Output.self).pointee
    }

    /// Makes the pending `yield` throw `error`, and returns the next value if the body goes on; otherwise as `next()`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    @inlinable
    public final func throwInto(_ error: any Error) throws -> Output? {
        try core.ask(sending: nil, throwing: error)?.assumingMemoryBound(to: Output.self).pointee
    }

    /// Ends the body, which unwinds now: the pending `yield` throws `GreenletExit`, and each later one `WaitError.cancelled`.  Waits until the body has
    /// ended.
    ///
    /// Throws what the body throws, unless that is one of these two; and `FiberError.ignoredClose` if the body has called `yield` a hundred times since:
    /// such a body is killed, and left to itself.  Throws `FiberError.busy` and `WaitError` as `next()` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public final func close() throws { try core.close() }
}

@available(*, unavailable)
extension Generator: Sendable {}

/// Runs `body` with the address at which `value` lies meanwhile.  A value with no size has no address, and gets one: nil would be no value.
@inlinable
@inline(__always)
func withAddress<Value, Answer>(of value: Value, _ body: (UnsafeRawPointer) throws -> Answer) rethrows -> Answer {
    if MemoryLayout<Value>.size == 0 { return try body(UnsafeRawPointer(bitPattern: MemoryLayout<Value>.alignment)!) }
    return try withUnsafePointer(to: value) { try body(UnsafeRawPointer($0)) }
}
