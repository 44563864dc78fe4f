import Synchronization

/// A green thread's own value of one `GreenLocal`.
class LocalValue {
    let key: LocalKey
    /// Nil once the variable is gone, on whatever OS thread that was.
    private(set) weak var variable: AnyObject?

    init(_ key: LocalKey, _ variable: AnyObject) { (self.key, self.variable) = (key, variable) }
}

/// Tells variables apart, also from those that are gone.
struct LocalKey: Hashable, Sendable {
    private static let last = Atomic<UInt64>(0)
    private let number = last.wrappingAdd(1, ordering: .relaxed).newValue
}

extension AnyGreenlet {
    func local(_ key: LocalKey) -> LocalValue? {
        for index in locals.indices where locals[index].key == key { return locals[index] }
        return nil
    }

    /// Drops the values of variables that are gone, too.
    func addLocal(_ added: LocalValue) {
        let before = locals
        // They are released after the list has changed: the deinit of a value may come back here.
        withExtendedLifetime(before) { locals = before.filter { $0.variable != nil } + [added] }
    }

    /// At its end.
    func forgetLocals() {
        // The deinit of a value may make another.
        while locals.popLast() != nil {}
    }
}
