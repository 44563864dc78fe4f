internal import CSwitch

/// What was found out about the runtime's list of task-locals.  An item is three words (the next item, the key, the type), and the value behind them.
struct TaskLocalLayout: Sendable {
    /// The place within a task of the item that was bound last, in bytes.
    let headInTask: Int
}

/// One item of the list: a value, or a mark.
struct TaskLocalItem {
    let address: UnsafeRawPointer

    init(_ address: UnsafeRawPointer) { self.address = address }

    /// The next item's address, and in the three bits that are free what this one is.
    private var bits: UInt { address.load(as: UInt.self) }

    /// Bound before it: in the same task, or in a task around it.
    var next: TaskLocalItem? { UnsafeRawPointer(bitPattern: bits & ~7).map(TaskLocalItem.init) }

    /// A mark has no key, type and value.  One leads on to another task's items; the other hides all items behind it.
    var isValue: Bool { bits & 4 == 0 }
    var hidesNext: Bool { bits & 6 == 6 }

    /// The `TaskLocal`.
    var key: UnsafeRawPointer? { address.load(fromByteOffset: 8, as: UnsafeRawPointer?.self) }

    var type: Any.Type? { address.load(fromByteOffset: 16, as: Any.Type?.self) }

    func value<Value>(as: Value.Type) -> UnsafePointer<Value> {
        let alignment = UInt(MemoryLayout<Value>.alignment)
        let place = (UInt(bitPattern: address) + 24 + alignment - 1) & ~(alignment - 1)
        return UnsafePointer(bitPattern: place)!
    }
}

extension TaskLocalItem {
    /// Binds the same value, as a new item.
    fileprivate func bindCopy() {
        guard let type, let key else { return }
        func bind<Value>(_: Value.Type) { TaskLocalItem.bind(value(as: Value.self).pointee, to: key) }
        _openExistential(type, do: bind)
    }

    fileprivate static func bind<Value>(_ value: Value, to key: UnsafeRawPointer) {
        withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { copy in
            copy.initializeElement(at: 0, to: value)
            swift_task_localValuePush(key, copy.baseAddress, unsafeBitCast(Value.self, to: UnsafeRawPointer.self))
        }
    }

    /// Its value by itself; nil for a mark.
    fileprivate var carried: CarriedTaskLocals.Item? {
        guard let type, let key else { return nil }
        func take<Value>(_: Value.Type) -> Any { value(as: Value.self).pointee }
        return CarriedTaskLocals.Item(key: key, value: _openExistential(type, do: take))
    }
}

/// The task-locals that a green thread begins with: a copy of those that are bound where it is spawned, as an unstructured task has.
enum TaskLocals {
    /// For a green thread that owns it from then on; nil where none is bound.  Made on the OS thread of both.
    static func copy(_ layout: TaskLocalLayout) -> UnsafeMutableRawPointer? {
        let here = TaskWords.here
        return first(here, layout).flatMap { copy(from: TaskLocalItem($0), here) }
    }

    /// As `copy`, of those that are bound in `task`.  It is suspended, on whatever OS thread.
    static func copy(of task: UnsafeRawPointer, _ layout: TaskLocalLayout) -> UnsafeMutableRawPointer? {
        first(in: task, layout).flatMap { copy(from: TaskLocalItem($0), TaskWords.here) }
    }

    private static func copy(from first: TaskLocalItem, _ here: TaskWords.Here) -> UnsafeMutableRawPointer? {
        // They stay as they are while the copies of the values are made, which may run code of the program's own.
        let items = visible(from: first)
        return here.cleared {
            for item in items.reversed() { item.bindCopy() }
            return here.locals
        }
    }

    /// Those that are bound on the OS thread that calls, which has a hub; nil where none is.
    static func carry(_ layout: TaskLocalLayout) -> CarriedTaskLocals? {
        let items = first(TaskWords.here, layout).map { visible(from: TaskLocalItem($0)) } ?? []
        return items.isEmpty ? nil : CarriedTaskLocals(items.reversed().compactMap(\.carried))
    }

    private static func first(_ here: TaskWords.Here, _ layout: TaskLocalLayout) -> UnsafeRawPointer? {
        if let task = here.task { return first(in: task, layout) }
        return here.locals?.load(as: UnsafeRawPointer?.self)
    }

    private static func first(in task: UnsafeRawPointer, _ layout: TaskLocalLayout) -> UnsafeRawPointer? {
        task.load(fromByteOffset: layout.headInTask, as: UnsafeRawPointer?.self)
    }

    /// Without those that a later one of the same key hides, and without marks.
    private static func visible(from first: TaskLocalItem) -> [TaskLocalItem] {
        var items: [TaskLocalItem] = []
        for item in sequence(first: first, next: { $0.hidesNext ? nil : $0.next }) where item.isValue {
            if !items.contains(where: { $0.key == item.key }) { items.append(item) }
        }
        return items
    }

    /// Forgets all that are bound, at the end of the green thread that has them.
    static func unbindAll() { while TaskWords.here.locals != nil { swift_task_localValuePop() } }
}

/// Task-locals as they were at one place of the program, for code that runs later on a green thread of its own.  To be used on one OS thread.
final class CapturedTaskLocals {
    private let storage: UnsafeMutableRawPointer

    /// Nil where none is bound.
    init?(_ layout: TaskLocalLayout) {
        guard let copy = TaskLocals.copy(layout) else { return nil }
        storage = copy
    }

    deinit {
        bound {
            TaskLocals.unbindAll()
        }
    }

    /// Runs `body`, which spawns, with them bound.
    func bound(_ body: () -> Void) {
        let here = TaskWords.here
        here.cleared {
            here.locals = storage
            body()
        }
    }
}

/// Task-locals as they were at one place of the program, for code that runs later on whatever OS thread, which needs no hub.
struct CarriedTaskLocals: @unchecked Sendable {
    // Unchecked: constant, and the value of a task-local is Sendable.
    fileprivate struct Item {
        /// The `TaskLocal`, a global or a static.
        let key: UnsafeRawPointer
        let value: Any
    }

    private let items: [Item]

    fileprivate init(_ items: [Item]) { self.items = items }

    /// Runs `body` with them bound.  It ends on the OS thread and in the green thread or task in which it began, as all code does.
    func bound<Value>(_ body: () throws -> Value) rethrows -> Value {
        for item in items {
            func bind<Local>(_ value: Local) { TaskLocalItem.bind(value, to: item.key) }
            _openExistential(item.value, do: bind)
        }
        defer { for _ in items { swift_task_localValuePop() } }
        return try body()
    }
}

/// A task-local of the search's own.
enum Probe {
    private static let local = TaskLocal<Int>(wrappedValue: 0)
    private static let wide = TaskLocal<SIMD2<UInt64>>(wrappedValue: .zero)

    /// Runs `body` with it bound, and gives its item, taken from the address of its value.
    static func bind<Result>(_ body: (TaskLocalItem) -> Result) -> Result {
        local.withValue(1) { body(TaskLocalItem(value(of: local)! - 24)) }
    }

    /// Whether items are laid out as `TaskLocalItem` has them.
    static func hasExpectedItems() -> Bool {
        bind { item in
            item.key == key(of: local) && item.type == Int.self && item.value(as: Int.self).pointee == 1
        }
            && wide.withValue([2, 3]) {
                let item = TaskLocalItem(value(of: wide)! - 32)
                return item.key == key(of: wide) && item.type == SIMD2<UInt64>.self
                    && UnsafeRawPointer(item.value(as: SIMD2<UInt64>.self)) == value(of: wide)
            }
    }

    private static func key(of local: AnyObject) -> UnsafeRawPointer {
        UnsafeRawPointer(Unmanaged.passUnretained(local).toOpaque())
    }

    private static func value(of local: AnyObject) -> UnsafeRawPointer? { swift_task_localValueGet(key(of: local)) }
}
