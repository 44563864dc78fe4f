import Glibc

/// Schedules the green threads of one OS thread over one event loop.
///
/// It is made by the first call that needs it.  The OS thread's own stack is its *main* green thread, so that code at top level can
/// spawn, sleep and join with no ceremony.  A hub and all that belongs to it stay on their OS thread; `remote` is the one door from
/// elsewhere.  It ends with its OS thread, or by `close()`.
public final class Hub {
    let state: HubPointer

    /// Called with each green thread that failed and whose end no other code has asked for.  By default it writes a line to standard error.
    ///
    /// Called on the hub's OS thread, on the stack of any of its green threads; must not wait.
    public var onUnobservedFailure: (UnobservedFailure) -> Void = writeFailure

    /// Called with each green thread when it is spawned, before it begins; nil by default.
    ///
    /// Called on the stack of the green thread that spawns; must not wait.
    public var onSpawn: ((AnyGreenlet) -> Void)? {
        get { state.pointee.onSpawn }
        set { state.pointee.onSpawn = newValue }
    }

    /// A green thread can be outlived by its handle, and the handle by the hub.
    static func report(_ failure: UnobservedFailure) {
        let hub = Context.running?.hub.pointee.owner.takeUnretainedValue()
        (hub?.onUnobservedFailure ?? writeFailure)(failure)
    }

    private let alternateStack: UnsafeMutableRawPointer?

    /// The hub of this OS thread.  Stops the program where the kernel has no descriptor left for a new one.
    public static var current: Hub { currentThread.hub.pointee.owner.takeUnretainedValue() }

    /// The green thread that runs now.
    @inline(__always)
    static var currentThread: GreenThread { Context.running ?? makeOrStop().state.pointee.main }

    private init(state: HubPointer, alternateStack: UnsafeMutableRawPointer?) {
        self.state = state
        self.alternateStack = alternateStack
    }

    // MARK: Making

    /// Makes the hub of this OS thread now, where it has none, with stacks in store for so many green threads.  Throws where the kernel has
    /// not what it takes; a call that needs a hub would stop the program then, and a `spawn` that finds no stack has failed.
    package static func prepare(stacks count: Int) throws(HubFailure) {
        if Context.running != nil { return }
        let hub = try make()
        do throws(SystemError) { try hub.state.pointee.stacks.stock(count) } catch {
            throw HubFailure("cannot make stacks for the hub: \(error)")
        }
    }

    private static func makeOrStop() -> Hub {
        do { return try make() } catch { fatalError("GreenNet: \(error)") }
    }

    private static func make() throws(HubFailure) -> Hub {
        guard let loop = EventLoop() else {
            throw HubFailure("no event loop can be made: is the limit of open descriptors reached?")
        }
        var stacks = StackPool()
        let scheduler: GreenThread
        do throws(SystemError) {
            scheduler = try stacks.take()
        } catch {
            stacks.unmapAll()
            loop.destroy()
            throw HubFailure("cannot make a stack for the hub: \(error)")
        }
        let state = HubPointer.allocate(capacity: 1)
        let hub = Hub(state: state, alternateStack: Context.watchForOverflow())
        state.initialize(
            to: HubState(
                loop: loop, alarm: .make(context: state, callback: alarmRang), main: makeMainThread(),
                scheduler: scheduler, stacks: stacks,
                remote: RemoteHub(wakes: state, on: loop), owner: Unmanaged.passRetained(hub)))
        state.adoptMainThread()
        state.prepareScheduler()
        endWithOSThread(state)
        return hub
    }

    private static func makeMainThread() -> GreenThread {
        GreenThread(at: .allocate(byteCount: GreenThread.recordSize, alignment: 64))
    }

    // MARK: Running

    /// Runs until every green thread spawned here has ended.  For the main green thread and others alike; a green thread other than
    /// the main one doesn't wait for itself.
    ///
    /// Throws `WaitError.blockedForever`, with the list of who waits on what, where none of those left can ever be woken.
    public func run(until deadline: Deadline = .never) throws(WaitError) {
        let thread = Hub.currentThread
        require(thread.hub == state, "Hub.run() on another OS thread than the hub's")
        let own = thread == state.pointee.main ? 0 : 1
        while state.pointee.alive > own {
            if let error = thread.error(after: thread.wait(for: .idle, until: deadline, in: state.idleQueue)) {
                throw error
            }
        }
    }

    /// Counts of one moment.
    public struct Statistics: Hashable, Sendable {
        /// Green threads that have not ended, without the main one.
        public let greenThreads: Int
        /// Stacks that are kept for further green threads.
        public let cachedStacks: Int
    }

    /// How many green threads and stacks the hub has now.  To be read on the hub's OS thread; never waits.
    public var statistics: Statistics {
        Statistics(greenThreads: state.pointee.alive, cachedStacks: state.pointee.stacks.cached)
    }

    /// The handle by which other OS threads reach this hub.  While anybody holds it, the hub doesn't take itself for stuck.
    public var remote: RemoteHub { state.pointee.remote }

    /// In a forked child: the hub stays the parent's, and is never touched again.
    ///
    /// Except for its signals: libev knows the owner of each for the whole process, and would refuse them to the child's own hub.
    static func abandon() {
        guard let hub = Context.running?.hub else { return }
        hub.pointee.owner.takeUnretainedValue().stopSignals()
        Context.setRunning(nil)
        ThreadClock.virtualTime = 0
        forgetOSThread()
    }

    private func stopSignals() { for event in state.pointee.signals { event.stop(on: state.pointee.loop) } }

    /// Kills what still runs, waits until all of it has unwound, and gives back everything.  The next call that needs a hub makes a
    /// new one.  What belonged to it and is still held, such as connections and listeners, stays open, and can only be closed, or let go of.
    /// To be called from the main green thread, outside of any `withTimeout` and `shielded`; without it, it happens when the
    /// OS thread ends.
    public func close() {
        require(Context.running == state.pointee.main, "Hub.close() is for the OS thread's main green thread")
        let main = state.pointee.main
        require(main.scope == nil && main.shields == 0, "Hub.close() in withTimeout or shielded")
        state.pointee.killsNewcomers = true
        state.pointee.remote.refuseSpawns()
        for greenlet in state.living {
            greenlet.willClose()
            greenlet.kill()
            // Inside `shielded`, too: a killed fiber hands over to no other.
            if let thread = greenlet.thread, thread.waitKind == .fiber { thread.wake(.cancelled) }
        }
        do { try run() } catch { fatalError("GreenNet: the hub can't close: \(error)") }
        stopWatching()
        forgetOSThread()
        state.endScheduler()
        state.pointee.remote.close()
        stopSignals()
        // A socket for which nobody waits stops being watched when it is told of something.  Whoever still holds it may close it, and let go
        // of it, after the hub.
        state.pointee.loop.feignReadability(upTo: state.pointee.lastDescriptor)
        #if DEBUG
        state.pointee.loop.verify()
        #endif
        state.freeMemory()
        state.pointee.loop.destroy()
        ThreadClock.virtualTime = 0
        Context.unwatchForOverflow(alternateStack)
        Context.setRunning(nil)
        state.pointee.owner.release()
        state.deinitialize(count: 1)
        state.deallocate()
    }
}

@available(*, unavailable)
extension Hub: Sendable {}

/// Why an OS thread can't have a hub.
package struct HubFailure: Error, CustomStringConvertible {
    package let description: String

    fileprivate init(_ description: String) { self.description = description }
}

private func writeFailure(_ failure: UnobservedFailure) { writeToStandardError("GreenNet: \(failure)\n") }

func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}

// MARK: - The end of an OS thread

/// Closes the hub of an OS thread that ends without having done so.
private let hubKey: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { state in
        state?.assumingMemoryBound(to: HubState.self).pointee.owner.takeUnretainedValue().close()
    }
    return key
}()

private func endWithOSThread(_ state: HubPointer) { pthread_setspecific(hubKey, state) }
private func forgetOSThread() { pthread_setspecific(hubKey, nil) }
