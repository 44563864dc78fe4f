/// Calls `body`, which may wait as code of a green thread does, from async code that runs on a hub.
///
/// The compiler lets no async function call what parks a green thread, for most OS threads have no hub.  Where a `HubExecutor` or `HubSerialExecutor`
/// runs the code, there is one: the wait parks the green thread that runs the task's job, and the hub's other green threads and tasks go on.
///
///     let answer = try parking { try queue.get() }
///
/// Returns or throws as `body` does.  Stops the program on an OS thread that has no hub.  Cancelling the task does not end the wait; a time limit inside
/// `body` does, and so does the end of the hub, as a kill.
public func parking<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
    require(Context.running != nil, "parking { } on an OS thread that has no hub")
    return try body()
}
