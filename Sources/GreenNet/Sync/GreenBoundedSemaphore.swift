/// A semaphore that never has more permits than at the beginning: to give back one that was not taken stops the program.
public final class GreenBoundedSemaphore: GreenSemaphore {
    /// How many permits there are, taken or not.
    public let limit: Int

    /// Begins with so many permits.
    override public init(_ permits: Int = 1) {
        limit = permits
        super.init(permits)
    }

    /// Gives a permit back.  Never waits.
    override public func release() {
        require(available < limit, "a permit was given back that no green thread holds: all \(limit) are there")
        super.release()
    }
}
