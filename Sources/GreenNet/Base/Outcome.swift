/// A value or an error, once there is one.
///
/// The value lies in raw memory, because a result is not compiled for each `Value`: with an optional one among its fields, each look would have the runtime look up
/// types, which takes longer than all the rest of it.
struct Outcome<Value>: ~Copyable {
    private var value: UnsafeMutablePointer<Value>?
    private(set) var error: (any Error)?

    init() {}

    deinit { value?.freeValue() }

    var isThere: Bool { value != nil || error != nil }

    /// To be called once.
    mutating func set(_ result: Result<Value, any Error>) {
        switch result {
        case .success(let value): self.value = .allocate(holding: value)
        case .failure(let error): self.error = error
        }
    }

    /// As `known`.
    func get() throws -> Value {
        if let error { throw error }
        return value!.pointee
    }

    /// Only where there is one.
    var known: Result<Value, any Error> {
        if let error { return .failure(error) }
        return .success(value!.pointee)
    }

    var result: Result<Value, any Error>? { isThere ? known : nil }
}

// Unchecked: it owns its memory, and has one owner itself.
extension Outcome: @unchecked Sendable where Value: Sendable {}

extension UnsafeMutablePointer {
    /// Holds `value`, until `freeValue()`.  What has no size needs no memory.
    static func allocate(holding value: Pointee) -> Self {
        if MemoryLayout<Pointee>.size == 0 { return Self(bitPattern: MemoryLayout<Pointee>.alignment)! }
        let memory = allocate(capacity: 1)
        memory.initialize(to: value)
        return memory
    }

    func freeValue() {
        if MemoryLayout<Pointee>.size == 0 { return }
        deinitialize(count: 1)
        deallocate()
    }
}
