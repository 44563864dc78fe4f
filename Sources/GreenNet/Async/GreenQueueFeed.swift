extension GreenQueue {
    /// Puts the elements of `sequence`, in their order, from a new green thread of the queue's hub, and shuts the queue down at the end of `sequence`.
    ///
    /// While the queue is full, the next element is not asked for.  The green thread awaits the elements as `awaiting` does; it has the task-locals of the
    /// caller.  A kill of it, or the end of the hub, cancels the iteration; so does `shutDown` by another green thread, once the next element has come.  The queue
    /// is shut down in each case, and its consumers take what is in it and then get `WaitError.closed`: `value()` of the returned green thread throws the error
    /// of `sequence`, and returns where all of its elements were put, or where the queue was shut down before.
    ///
    /// Never waits.  Callable from any green thread of the OS thread of the queue.
    @discardableResult
    public func feed<Elements: AsyncSequence>(
        from sequence: Elements, name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line
    ) -> Greenlet<Void> where Elements.Element == Item {
        let feeder = spawn(name: name, fileID: fileID, line: line) {
            var elements = sequence.makeAsyncIterator()
            while let element = try awaiting({ try await elements.next(isolation: #isolation) }) {
                do throws(WaitError) {
                    try self.put(element)
                } catch {
                    if error == .closed { return }
                    throw error
                }
            }
            // A sequence may end where its task is cancelled: a kill must not look like that end.
            try Hub.currentThread.throwIfInterrupted()
        }
        // Also where it is killed before it begins, or has no stack.
        if feeder.hasEnded { shutDown() } else { _ = feeder.observe { self.shutDown() } }
        return feeder
    }
}
