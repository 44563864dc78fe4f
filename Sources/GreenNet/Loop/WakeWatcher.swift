internal import CLibev

/// Wakes a loop from another OS thread: the one thing of it that may be called from anywhere.
/// Several calls before the loop looks count as one.
struct WakeWatcher {
    fileprivate var raw = ev_async()

    typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutablePointer<ev_async>?, Int32) -> Void

    static func context<T>(_ watcher: UnsafeMutablePointer<ev_async>?, as: T.Type) -> UnsafeMutablePointer<T> {
        watcher!.pointee.data.assumingMemoryBound(to: T.self)
    }
}

extension UnsafeMutablePointer<WakeWatcher> {
    private var async: UnsafeMutablePointer<ev_async> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: ev_async.self)
    }

    static func make(
        on loop: EventLoop, context: UnsafeMutableRawPointer, callback: WakeWatcher.Callback
    ) -> Self {
        let watcher = allocate(capacity: 1)
        watcher.initialize(to: WakeWatcher())
        green_async_init(watcher.async, callback)
        watcher.async.pointee.data = context
        ev_async_start(loop.raw, watcher.async)
        loop.setWaker(watcher.async)
        return watcher
    }

    func send(to loop: EventLoop) { ev_async_send(loop.raw, async) }

    func free(on loop: EventLoop) {
        loop.setWaker(nil)
        ev_async_stop(loop.raw, async)
        deallocate()
    }
}
