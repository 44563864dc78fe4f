/// What the layer that waits for other processes keeps in the scheduler.  Used on the hub's OS thread only.
struct BellSupport {
    /// The address of the layer's own state.
    let address: UnsafeMutableRawPointer
    /// The hub closes, and its green threads have ended.
    let close: () -> Void
}
