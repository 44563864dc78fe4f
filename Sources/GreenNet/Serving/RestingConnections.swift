/// The connections of a service that rest: open, watched by the loop, and without a green thread.
///
/// In lists by the moment when the deadline of the wait passes that was given up, which is rounded up to `precision`; those without one are in a list of
/// their own.
struct RestingConnections {
    /// How late a deadline may be noticed.
    static let precision = Duration.milliseconds(250)

    /// The first of each list; the others follow through `nextResting`.  Each is retained while it is in one.
    private var lists: [Int64: Unmanaged<ServedConnection>] = [:]
    private(set) var count = 0

    /// When the next of them is to end; `.never` where none has a deadline.
    var nextDue: Deadline {
        let number = lists.keys.min() ?? .max
        return number == .max ? .never : Deadline(nanoseconds: number * RestingConnections.precision.nanoseconds)
    }

    /// The first of those whose deadline has passed at `moment`.
    func overdue(at moment: Deadline) -> ServedConnection? {
        let due = nextDue
        return due != .never && due <= moment ? lists[RestingConnections.list(of: due)]?.takeUnretainedValue() : nil
    }

    /// Any of them.
    var first: ServedConnection? { lists.first?.value.takeUnretainedValue() }

    /// All that rest now.
    var all: [ServedConnection] {
        lists.values.flatMap { first in
            sequence(first: first.takeUnretainedValue()) { $0.nextResting?.takeUnretainedValue() }
        }
    }

    mutating func insert(_ served: ServedConnection) {
        let list = RestingConnections.list(of: served.restDeadline)
        let first = lists[list]
        served.nextResting = first
        first?.takeUnretainedValue().previousResting = .passUnretained(served)
        lists[list] = .passRetained(served)
        count += 1
    }

    mutating func remove(_ served: ServedConnection) {
        let (previous, next) = (served.previousResting, served.nextResting)
        next?.takeUnretainedValue().previousResting = previous
        if let previous {
            previous.takeUnretainedValue().nextResting = next
        } else {
            lists[RestingConnections.list(of: served.restDeadline)] = next
        }
        served.previousResting = nil
        served.nextResting = nil
        count -= 1
        Unmanaged.passUnretained(served).release()
    }

    private static func list(of deadline: Deadline) -> Int64 {
        if deadline == .never { return .max }
        let length = precision.nanoseconds
        return deadline.nanoseconds / length + (deadline.nanoseconds % length > 0 ? 1 : 0)
    }
}
