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
