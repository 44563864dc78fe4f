/// In the loop, when the main queue has jobs.
func drainMainQueue(_ scheduler: Scheduler) {
    do throws(SpawnError) { try scheduler.startUnseen(MainQueueGreenlet()) } catch {
        fatalError("GreenNet: the jobs of the main actor can't run: \(error)")
    }
}

/// Runs the jobs of Dispatch's main queue that are there, and ends.
private final class MainQueueGreenlet: AnyGreenlet {
    override var name: String? { "main queue" }
    override func run() { thread!.scheduler.runMainQueue() }
}

extension Hub {
    /// For a program that uses neither Dispatch nor the main actor: its hub needs no descriptor for their queue, however many OS threads there are.  To be
    /// called before any other OS thread is started.
    package static func leaveMainQueueAlone() { MainQueue.isLeftAlone = true }
}
