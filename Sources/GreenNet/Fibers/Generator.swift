/// A piece of program that gives values one at a time, and goes on when the next is asked for.
///
///     let numbers = Generator<Int, Void> { out in for number in 0... { try out.yield(number) } }
///     while let number = try numbers.next() { print(number) }
///
/// It has a stack of its own, and a call that waits inside it makes the one that asks wait.  There is no `for` loop over a generator, for that can't
/// throw what the body throws.
///
/// Dropped before its end, the body unwinds: the pending `yield` throws `WaitError.cancelled`, and so does each later one.  One that catches that and goes on
/// is as a green thread that was killed and goes on: it gives way at each `yield`, and lives until its body ends.
/// Belongs to its OS thread.
public class Generator<Output, Input> {
    typealias Message = GeneratorMessage<Output, Input>

    /// Where the body gives its values, and gets what was sent.
    public typealias Body = Yielder<Output, Input>

    private final let fiber: Fiber<Message>
    private final let closing = GeneratorClosing()

    /// A generator that will run `body` at the first `next()`.  `body` must not hold the generator itself.
    public init(_ body: @escaping (Body) throws -> Void) {
        fiber = Fiber(name: "generator") { [closing] _ in
            try body(Body(core: .current, closing: closing))
            return .end
        }
        // Who makes it in the body of a generator would else be held by it, and never dropped.
        fiber.parent = nil
    }

    /// Whether the body has ended.
    public final var isDone: Bool { fiber.isDead }

    /// The next value; nil once the body has ended.  The pending `yield` returns nil.
    ///
    /// Throws what the body throws, which ends it; `WaitError` when the caller was killed or its time is over, which ends the generator too; and
    /// `FiberError.busy` where the body runs or waits already, for another green thread that has asked, which gets its value.
    public final func next() throws -> Output? { try resume(.success(.input(nil))).output }

    /// Makes the pending `yield` return `input`, and gives the next value; else as `next()`.  Not before the first `next()`.
    @discardableResult
    public final func send(_ input: Input) throws -> Output? {
        require(fiber.isStarted, "send before the first next(): no yield is there to return it")
        return try resume(.success(.input(input))).output
    }

    /// Makes the pending `yield` throw `error`, and gives the next value, where the body goes on; else as `next()`.
    @discardableResult
    public final func throwInto(_ error: any Error) throws -> Output? { try resume(.failure(error)).output }

    /// Ends the body, which unwinds now: the pending `yield` throws `GreenletExit`, and each later one `WaitError.cancelled`.  Returns when the body has ended,
    /// and waits for what it waits for as it unwinds.
    ///
    /// Throws what the body throws, unless that is one of these two; and `FiberError.ignoredClose` where it has tried to yield a hundred times: such a body is
    /// killed, and left to itself.  `FiberError.busy` and `WaitError` are as with `next()`.
    public final func close() throws {
        guard !isDone else { return }
        if isBusy { throw FiberError.busy }
        closing.isClosed = true
        do {
            if case .goesOn = try resume(.failure(GreenletExit())) { throw FiberError.ignoredClose }
        } catch is GreenletExit {
        } catch WaitError.cancelled where isDone && closing.refusals > 0 {}
    }

    /// The body runs, or waits for whatever else than the next to ask: another generator's value, say.
    private final var isBusy: Bool {
        fiber.isStarted && !fiber.isDead && !(fiber.core.isAtYield && fiber.core.isSuspended)
    }

    /// What the body answers.
    private final func resume(_ message: Result<Message, any Error>) throws -> Message {
        if fiber.isDead { return .end }
        // Before anything changes: the body answers the first one that has asked.
        if isBusy { throw FiberError.busy }
        fiber.parent = .current
        // Between two calls nobody is it: a generator that asks another one would else be held by that.
        defer { fiber.parent = nil }
        do {
            return try fiber.core.take(message)
        } catch let error as WaitError {
            // Its body may wait for something itself, and there is nobody any more to give it to.
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
    /// It was closed, and the body goes on.
    case goesOn

    var output: Output? { if case .output(let output) = self { output } else { nil } }
}

/// What a generator and its body know of its end.
final class GeneratorClosing {
    /// How many times a body that was closed may try to yield before `close()` waits no more.
    static let patience = 100

    var isClosed = false
    /// How many times the body has tried to yield without being asked.
    var refusals = 0
}

@available(*, unavailable)
extension Generator: Sendable {}
