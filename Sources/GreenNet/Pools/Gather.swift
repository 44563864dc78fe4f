/// Runs all of `bodies` at once, each on a green thread of its own, and returns their values in the order of the list.
///
///     let (user, orders) = try gather({ try loadUser(7) }, { try loadOrders(of: 7) })
///
/// The first error kills the others, and is thrown when they have unwound; the same happens when the caller is killed or an enclosing time limit is over.
/// The type is `any Error`, for the bodies can throw any type.  Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func gather<each Value>(_ bodies: repeat @escaping () throws -> each Value) throws -> (repeat each Value) {
    try withGreenGroup { group in
        let greenlets = (repeat group.spawn(each bodies))
        try group.join()
        return (repeat try (each greenlets).value())
    }
}
