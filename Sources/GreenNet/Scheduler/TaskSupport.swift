/// What the layer that runs Swift's tasks on the hub keeps in the scheduler.  Used on the hub's OS thread only.
struct TaskSupport {
    /// The address of the layer's own state: by it, an executor recognises its hub.
    let address: UnsafeMutableRawPointer
    /// The runner has called something that waits, in the middle of a job.
    let runnerParks: () -> Void
    /// Whether a task can come that wakes the hub.
    let canBeWoken: () -> Bool
    /// The process is a forked child, and the hub its parent's.
    let abandon: () -> Void
    /// The hub closes, and its green threads have ended.
    let close: () -> Void
}

extension Scheduler {
    /// `thread` is being left.  Where it is a runner in the middle of a job, the other jobs must not wait for that one.
    func taskParks(_ thread: GreenThread) {
        if fields.pointee.taskRunner == thread { fields.pointee.tasks!.runnerParks() }
    }
}
