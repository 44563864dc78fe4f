import GreenNet
import Synchronization

/// What the OS threads of a `ThreadModel` share: the listeners from which they accept by themselves.
///
/// An OS thread whose client has ended accepts the next one at once, if one is there: it is running already, and no other OS thread need be woken.  So where
/// clients come and go, the OS thread that was woken for a client does not have the next client wake another one: it leaves that to those that end their
/// clients, and to a reminder, in case that these take long.
final class ThreadIntake: PoolClients {
    private let service: ThreadService
    private var counters: CounterRow { service.service.counters }
    /// Nil where nothing is limited; the OS threads do not accept then.
    private let limits: ClientAdmission?
    private let state = Mutex(State())
    /// Open connections that the OS threads have accepted.
    private let count = Atomic(0)
    /// Whether the hub waits for connections to end.
    private let hubWaits = Atomic(true)
    /// An OS thread that had ended its client has accepted another one since an OS thread was woken for one.
    private let clientsComeAndGo = Atomic(false)

    /// For how long a client waits for an OS thread that ends its client, before another one is woken.
    static let reminderDelay = Duration.microseconds(250)

    // Not touched for each connection: where OS threads meet at a lock, they sleep and wake each other.
    private struct State {
        var listeners: [UInt64: LentListener] = [:]
        var nextNumber: UInt64 = 0
        /// Called when a connection has ended while the hub waits for that.
        var onEnd: (@Sendable () -> Void)?
    }

    init(_ service: ThreadService) { (self.service, limits) = (service, service.service.clients) }

    private func locked<Answer: Sendable>(_ body: (inout sending State) -> Answer) -> Answer {
        state.withLock { state in body(&state) }
    }

    // MARK: On the hub

    /// Connections that the OS threads have accepted, and that are open.
    var openConnections: Int { count.load(ordering: .sequentiallyConsistent) }

    /// Whether an OS thread could serve a client that it accepts.
    var hasPlace: Bool { limits?.hasPlace ?? false }

    /// `body` is called when a connection has ended that an OS thread has accepted, from now on and while the hub waits for that; nil ends that.
    func onEnd(_ body: (@Sendable () -> Void)?) { locked { $0.onEnd = body } }

    func setHubWaits(_ waits: Bool) { hubWaits.store(waits, ordering: .sequentiallyConsistent) }

    func add(_ socket: ListeningSocket, in set: ListenerSet) -> LentListener {
        locked { state in
            let listener = LentListener(socket, in: set, as: state.nextNumber)
            state.listeners[state.nextNumber] = listener
            state.nextNumber += 1
            return listener
        }
    }

    func remove(_ listener: LentListener) {
        listener.takeBack()
        locked { $0.listeners[listener.number] = nil }
    }

    // MARK: On the pool's OS threads

    func watchAll() { for listener in all { listener.watchAgain() } }
    func noThreadWaits() { for listener in all { listener.leave() } }

    private var all: [LentListener] { locked { Array($0.listeners.values) } }

    /// Serves the client for which `thread`, the calling OS thread, was woken, and those that it finds afterwards.
    func serveClients(at number: UInt64, by thread: PoolThread, of pool: ThreadPool) {
        guard let listener = listener(number, thread) else { return }
        guard serveClient(at: listener, thread, accepted: { passOn(listener, pool) }) else {
            return listener.watchAgain()
        }
        while !pool.hasJobs,
            serveClient(at: listener, thread, accepted: { clientsComeAndGo.store(true, ordering: .relaxed) })
        {}
        // No other OS thread is about to look for the next client.
        if openConnections == 0 { watchAll() }
    }

    private func listener(_ number: UInt64, _ thread: PoolThread) -> LentListener? {
        if thread.listener?.number != number { thread.listener = locked { $0.listeners[number] } }
        return thread.listener
    }

    private func passOn(_ listener: LentListener, _ pool: ThreadPool) {
        if !pool.keepOneWaiting() { return noThreadWaits() }
        if clientsComeAndGo.exchange(false, ordering: .relaxed) {
            pool.listeners.remindSoon(after: ThreadIntake.reminderDelay)
        } else {
            listener.watchAgain()
        }
    }

    /// Returns false where there is no client, or it was left to the accept loop.
    private func serveClient(at listener: LentListener, _ thread: PoolThread, accepted: () -> Void) -> Bool {
        let limits = limits!.newRow()
        guard var place = Place(in: limits) else {
            listener.leave()
            return false
        }
        guard let connection = accept(from: listener, by: thread) else {
            place.giveBack()
            // It may have looked for this place meanwhile.
            tellHub()
            return false
        }
        accepted()
        if place.admit(connection.peer) {
            counters.add(to: .accepted)
            let end = connection.run(service)
            counters.add(to: Counter(end))
        } else {
            // Before the client sees the end.
            service.service.log.refused(connection.peer, counters, limits)
            connection.close()
        }
        place.giveBack()
        hasEnded(connection, thread)
        return true
    }

    private func accept(from listener: LentListener, by thread: PoolThread) -> ThreadConnection? {
        do throws(NetError) {
            return try listener.accept { client in
                let peer = client.peer
                let connection = ThreadConnection(descriptor: client.releaseDescriptor(), peer: peer)
                thread.connection = connection
                count.add(1, ordering: .sequentiallyConsistent)
                return connection
            }
        } catch {
            listener.leave(error)
            return nil
        }
    }

    private func hasEnded(_ connection: ThreadConnection, _ thread: PoolThread) {
        thread.connection = nil
        count.subtract(1, ordering: .sequentiallyConsistent)
        tellHub()
    }

    /// Where it waits for a place, or for the last connection.
    private func tellHub() { if hubWaits.load(ordering: .sequentiallyConsistent) { locked { $0.onEnd }?() } }
}
