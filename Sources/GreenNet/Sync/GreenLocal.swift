/// A variable of which every green thread has a value of its own.
///
///     enum Request {
///         static let id = GreenLocal<Int?>(nil)
///     }
///     Request.id.value = 7  // for the running green thread only
///
/// It may be a global or a `static let`, and may be used from the green threads of every OS thread, the main ones included.  A value never leaves its
/// green thread, so `Value` need not be `Sendable`.
///
/// A green thread's value is released when the green thread ends.  When the `GreenLocal` itself is released, values are left behind until their
/// green thread ends, or uses another `GreenLocal` for the first time.
public final class GreenLocal<Value>: Sendable {
    private let initial: @Sendable () -> Value
    private let key = LocalKey()

    /// A variable whose value is `initial`, evaluated in each green thread that reads it before it sets it.
    public init(_ initial: @escaping @autoclosure @Sendable () -> Value) { self.initial = initial }

    /// The value of the running green thread.  Callable from any green thread; never waits, unless `initial` does.
    public var value: Value {
        get { own?.value ?? makeValue() }
        set {
            guard let own else { return add(newValue) }
            own.exchange(newValue)
        }
    }

    private var own: TypedLocalValue<Value>? {
        Hub.currentThread.greenlet.local(key).map { unsafeDowncast($0, to: TypedLocalValue<Value>.self) }
    }

    private func makeValue() -> Value {
        // `initial` may use this very variable, or wait.
        let value = initial()
        self.value = value
        return value
    }

    private func add(_ value: Value) {
        Hub.currentThread.greenlet.addLocal(TypedLocalValue(key, self, value))
    }
}

private final class TypedLocalValue<Value>: LocalValue {
    private(set) var value: Value

    init(_ key: LocalKey, _ variable: AnyObject, _ value: Value) {
        self.value = value
        super.init(key, variable)
    }

    func exchange(_ value: Value) {
        // The old value is released after the access: its deinit may come back here.
        var old = value
        swap(&old, &self.value)
    }
}
