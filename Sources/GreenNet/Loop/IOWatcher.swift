internal import CLibev

/// libev's watcher of one descriptor in one direction.
///
/// libev keeps its address while it is active: it lives in memory that does not move, and is stopped before the descriptor is
/// closed.  Started again within the same pass of the loop, it costs no system call.
struct IOWatcher {
    fileprivate var raw = ev_io()

    typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutablePointer<ev_io>?, Int32) -> Void

    /// In the callback: the kernel can't watch one more descriptor, and libev has stopped the watcher.
    @inline(__always)
    static func isRefused(_ events: Int32) -> Bool { events & Int32(EV_ERROR) != 0 }

    /// In the callback: that of `set`.
    @inline(__always)
    static func priority(_ watcher: UnsafeMutablePointer<ev_io>?) -> Int32 { watcher!.pointee.priority }

    /// What `set` was given; nil before.
    @inline(__always)
    var context: UnsafeMutableRawPointer? { raw.data }

    /// What begins with the watcher, in the callback.
    @inline(__always)
    static func owner<T>(_ watcher: UnsafeMutablePointer<ev_io>?, as: T.Type) -> UnsafeMutablePointer<T> {
        UnsafeMutableRawPointer(watcher!).assumingMemoryBound(to: T.self)
    }
}

extension UnsafeMutablePointer<IOWatcher> {
    private var io: UnsafeMutablePointer<ev_io> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: ev_io.self) }

    /// To be called once for each owner of a descriptor, even where the number is the same as before: libev then asks the
    /// kernel anew.  `priority` orders the callbacks of one pass, highest first.
    ///
    /// `isKnown`: since this owner has opened the descriptor the loop has watched it already, and asks the kernel only for what is new.
    func set(
        _ direction: Direction,
        of descriptor: Int32,
        isKnown: Bool = false,
        context: UnsafeMutableRawPointer? = nil,
        priority: Int32 = 0,
        callback: IOWatcher.Callback
    ) {
        let events = Int32(direction == .readable ? EV_READ : EV_WRITE)
        if isKnown {
            green_io_init_known(io, callback, descriptor, events)
        } else {
            green_io_init(io, callback, descriptor, events)
        }
        green_set_priority(io, priority)
        io.pointee.data = context
    }

    /// In the callback, where no other is to come.
    func forgetContext() { io.pointee.data = nil }

    var isActive: Bool { green_io_is_active(io) != 0 }
    /// The loop has its address, and would call it.  Else nothing of the loop is touched by it, which may be gone.
    var isKnownToLoop: Bool { isActive || green_io_is_pending(io) != 0 }
    func start(on loop: EventLoop) { ev_io_start(loop.raw, io) }
    func stop(on loop: EventLoop) { ev_io_stop(loop.raw, io) }
}
