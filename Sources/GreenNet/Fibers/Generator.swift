/// A piece of program that gives values one at a time, and goes on when the next is asked for.
///
/// `for number in Generator<Int, Void> { for n in 0... { try $0.yield(n) } }` runs it; so do `next()` and `send(_:)`.  It has a stack of its own, and a
/// call that waits inside it makes the one that asks wait.  Dropped before its end, it unwinds: `yield` throws.
/// Belongs to its OS thread.
public class Generator<Output, Input> {
    typealias Message = GeneratorMessage<Output, Input>

    /// Where the body gives its values, and gets what was sent.
    public typealias Body = Yielder<Output, Input>

    private final let fiber: Fiber<Message>

    /// What the body has thrown in a `for` loop, which can't throw.  Not asked for, it is reported like that of a green thread.
    public final var failure: (any Error)? {
        isObserved = true
        return keptFailure
    }

    private final var keptFailure: (any Error)?
    private final var isObserved = false

    /// A generator that will run `body` at the first `next()`.  `body` must not hold the generator itself.
    public init(_ body: @escaping (Body) throws -> Void) {
        fiber = Fiber(name: "generator") { _ in
            try body(Body())
            return .end
        }
    }

    deinit {
        if let keptFailure, !isObserved { Hub.report("a generator", keptFailure) }
    }

    /// Whether the body has ended.
    public final var isDone: Bool { fiber.isDead }

    /// The next value; nil once the body has ended.  The pending `yield` returns nil.
    ///
    /// Throws what the body throws, which ends it; and `WaitError` when the caller was killed or its time is over, which ends the generator too.
    public final func next() throws -> Output? { try resume(.success(.input(nil))) }

    /// Makes the pending `yield` return `input`, and gives the next value; else as `next()`.  Not before the first `next()`.
    @discardableResult
    public final func send(_ input: Input) throws -> Output? {
        require(fiber.isStarted, "send before the first next(): no yield is there to return it")
        return try resume(.success(.input(input)))
    }

    /// Makes the pending `yield` throw `error`, and gives the next value, where the body goes on; else as `next()`.
    @discardableResult
    public final func throwInto(_ error: any Error) throws -> Output? { try resume(.failure(error)) }

    /// Ends the body, which unwinds now.  Throws what it throws, unless that is `GreenletExit`.
    public final func close() throws {
        guard !isDone else { return }
        do {
            let output = try throwInto(GreenletExit())
            require(output == nil, "a generator went on after close()")
        } catch is GreenletExit {}
    }

    private final func resume(_ message: Result<Message, any Error>) throws -> Output? {
        if fiber.isDead { return nil }
        fiber.parent = .current
        // Between two calls nobody is it: a generator that asks another one would else be held by that.
        defer { fiber.parent = nil }
        do {
            let answer = try fiber.core.take(message)
            guard case .output(let output) = answer else { return nil }
            return output
        } catch let error as WaitError {
            // Its body may wait for something itself, and there is nobody any more to give it to.
            if !fiber.isDead { fiber.core.kill() }
            throw error
        }
    }

    fileprivate final func keep(_ error: any Error) { keptFailure = error }
}

enum GeneratorMessage<Output, Input> {
    /// To the body; nil from `next()`.
    case input(Input?)
    case output(Output)
    /// The body has returned.
    case end
}

@available(*, unavailable)
extension Generator: Sendable {}

extension Generator: Sequence {
    /// For `for value in generator`.  Such a loop can't throw: it ends where the body does, and `failure` says what it has thrown.
    public final func makeIterator() -> GeneratorIterator<Output, Input> { GeneratorIterator(generator: self) }
}

/// The values of a generator, one after the other.
public struct GeneratorIterator<Output, Input>: IteratorProtocol {
    let generator: Generator<Output, Input>

    /// As `Generator.next()`, but nil where that throws.
    public func next() -> Output? {
        do { return try generator.next() } catch {
            generator.keep(error)
            return nil
        }
    }
}
