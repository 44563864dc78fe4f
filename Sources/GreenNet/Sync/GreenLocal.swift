/// A variable of which every green thread has its own.
///
/// A green thread's value goes when it ends, and all go with the `GreenLocal` itself.  Belongs to its OS thread.
public final class GreenLocal<Value>: AnyLocal {
    private let initial: () -> Value
    private var values: [UInt64: Value] = [:]

    /// A variable that is `initial()` in each green thread until it is assigned to there.
    public init(_ initial: @escaping @autoclosure () -> Value) { self.initial = initial }

    /// That of the green thread that runs now.
    public var value: Value {
        get { values[Hub.currentThread.id] ?? makeValue() }
        set { keep(newValue) }
    }

    private func makeValue() -> Value {
        // Outside of any access: it may use this very variable.
        let value = initial()
        keep(value)
        return value
    }

    private func keep(_ value: Value) {
        let thread = Hub.currentThread
        // What was there before goes after the access: its deinit may come back here.
        let old = values.updateValue(value, forKey: thread.id)
        if old == nil { thread.greenlet.locals.append(WeakLocal(local: self)) }
    }

    /// How many green threads have one.
    var count: Int { values.count }

    override func forget(_ id: UInt64) { _ = values.removeValue(forKey: id) }
}
