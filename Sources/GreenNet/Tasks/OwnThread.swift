extension HubObject {
    /// The green thread that runs, for a call on the object that parks it.  Makes a hub where there is none, unless the object belongs to another OS thread:
    /// that stops the program.
    @inline(__always)
    func ownThread() -> GreenThread {
        guard let thread = Context.running, owner.isHere else { return threadAfterCheck() }
        return thread
    }

    @inline(never)  // Rare: once for each object, and on each OS thread for its first wait.
    private func threadAfterCheck() -> GreenThread {
        checkOwner()
        let thread = Hub.currentThread
        // The call may have made the hub.
        checkOwner()
        return thread
    }
}
