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
public class Generator<Output, Input>: HubObject {
    typealias Message = GeneratorMessage<Output, Input>

    /// The body yields its values to it, and gets the values that are sent.
    public typealias Body = Yielder<Output, Input>

    private final let fiber: Fiber<Message>
    private final let closing = GeneratorClosing()

    final var owner: Owner {
        get { fiber.core.owner }
        set { fiber.core.owner = newValue }
    }

    /// A generator that will run `body` at the first `next()`.  `body` must not hold the generator itself.
    /// `stackSize` is in bytes, as for `spawn`.
    public init(stackSize: Int? = nil, _ body: @escaping (Body) throws -> Void) {
        fiber = Fiber(name: "generator", stackSize: stackSize) { [closing] _ in
            try body(Body(core: .current, closing: closing))
            return .end
        }
        // A generator in whose body this one is made would otherwise be held by it, and never be released.
        fiber.parent = nil
    }

    /// Whether the body has ended.
    public final var isDone: Bool { fiber.isDead }

    /// Returns the next value; nil once the body has ended.  The pending `yield` returns nil.  Callable from any green thread of the same OS thread.
    ///
    /// Throws what the body throws, which ends it; `WaitError` when the caller is killed or an enclosing time limit is over, which ends the generator too;
    /// and `FiberError.busy` while another green thread waits for the next value.  The type is `any Error`, for the body can throw any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public final func next() throws -> Output? { try resume(.success(.input(nil))).output }

    /// Makes the pending `yield` return `input`, and returns the next value; otherwise as `next()`.  Not before the first `next()`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public final func send(_ input: Input) throws -> Output? {
        require(fiber.isStarted, "send before the first next(): no yield is there to return it")
        return try resume(.success(.input(input))).output
    }

    /// Makes the pending `yield` throw `error`, and returns the next value if the body goes on; otherwise as `next()`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public final func throwInto(_ error: any Error) throws -> Output? { try resume(.failure(error)).output }

    /// Ends the body, which unwinds now: the pending `yield` throws `GreenletExit`, and each later one `WaitError.cancelled`.  Waits until the body has
    /// ended.
    ///
    /// Throws what the body throws, unless that is one of these two; and `FiberError.ignoredClose` if the body has called `yield` a hundred times since:
    /// such a body is killed, and left to itself.  Throws `FiberError.busy` and `WaitError` as `next()` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public final func close() throws {
        checkOwner()
        guard !isDone else { return }
        if isBusy { throw FiberError.busy }
        closing.isClosed = true
        do {
            if case .goesOn = try resume(.failure(GreenletExit())) { throw FiberError.ignoredClose }
        } catch is GreenletExit {
        } catch WaitError.cancelled where isDone && closing.refusals > 0 {}
    }

    /// The body runs, or waits for an event other than the next request: another generator's value, say.
    private final var isBusy: Bool {
        fiber.isStarted && !fiber.isDead && !(fiber.core.isAtYield && fiber.core.isSuspended)
    }

    /// Returns the body's answer.
    private final func resume(_ message: Result<Message, any Error>) throws -> Message {
        checkOwner()
        if fiber.isDead { return .end }
        // Before any change: the body answers the first request.
        if isBusy { throw FiberError.busy }
        fiber.parent = .current
        // There is no parent between two calls: it would be held by the generator that it has asked.
        defer { fiber.parent = nil }
        do {
            return try fiber.core.take(message)
        } catch let error as WaitError {
            // The body may wait for an event itself, and its next value has no receiver any more.
            if !fiber.isDead { fiber.core.kill() }
            throw error
        }
    }
}

enum GeneratorMessage<Output, Input> {
    /// To the body; nil from `next()`.
    case input(Input?)
    case output(Output)
    /// The body has returned.
    case end
    /// The generator was closed, and its body goes on.
    case goesOn

    var output: Output? { if case .output(let output) = self { output } else { nil } }
}

/// The state of `close()`, which a generator and its body share.
final class GeneratorClosing {
    /// How many times the body of a closed generator may call `yield` before `close()` gives up.
    static let patience = 100

    var isClosed = false
    /// How many times the body has called `yield` without a request.
    var refusals = 0
}

@available(*, unavailable)
extension Generator: Sendable {}
