/// A `GreenLocal`, of whatever it is.
public class AnyLocal {
    init() {}

    func forget(_ id: UInt64) {}
}

@available(*, unavailable)
extension AnyLocal: Sendable {}

/// What a green thread keeps of a variable in which it has a value.
struct WeakLocal {
    weak var local: AnyLocal?
}

extension AnyGreenlet {
    /// At its end.
    func forgetLocals() {
        // A value's deinit may make another.
        while let last = locals.popLast() { last.local?.forget(id) }
    }
}
