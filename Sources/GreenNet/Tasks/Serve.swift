extension Hub {
    /// Runs the hub's green threads, and stays when all have ended, until `stopServing()` is called, here or by the hub's `remote`: for a hub that
    /// works for other OS threads or for tasks.
    ///
    /// A `stopServing()` that came before ends the next `serve` at once.  The green threads go on when it returns; `close()` ends them.
    /// `WaitError.blockedForever` is not thrown meanwhile.  Throws `.deadlinePassed` at `deadline`, and when the caller is killed or an enclosing time limit is over.
    /// Callable from any green thread of the hub.
    @available(*, noasync, message: "it parks a green thread; on a hub, write `parking { }`")
    public func serve(until deadline: Deadline = .never) throws(WaitError) {
        let thread = ownThread()
        if scheduler.fields.pointee.isStopPending {
            scheduler.fields.pointee.isStopPending = false
            return
        }
        if let error = thread.error(after: thread.wait(for: .serving, until: deadline, in: scheduler.servingQueue)) {
            throw error
        }
    }

    /// Ends each `serve()` of this hub; where there is none, the next.  Callable from any green thread of the hub, and from a callback of it; never waits.
    public func stopServing() {
        checkOwner()
        if scheduler.servingQueue.isEmpty { scheduler.fields.pointee.isStopPending = true }
        scheduler.servingQueue.wakeAll()
    }
}
