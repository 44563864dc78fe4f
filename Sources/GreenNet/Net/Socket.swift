import Glibc

/// An open socket and the green threads that wait for it, in raw memory: libev keeps the address of the watchers, and a green thread parks
/// while it works on this.
///
/// Its owner (a connection, a listener, a timer) frees it once; then no green thread waits for it any more.  `SocketState` lists what may be
/// set at once, and `WaitMode` says what waiting means.
struct Socket: Equatable {
    let state: UnsafeMutablePointer<SocketState>

    private init(_ state: UnsafeMutablePointer<SocketState>) { self.state = state }

    /// One that `make` has made.
    init(at address: UnsafeMutableRawPointer) { state = address.assumingMemoryBound(to: SocketState.self) }
}

/// The state of a socket.  All but `writing` lies in one cache line.
///
/// On a hub, it is one of these; the watcher is started and stopped as the last column says:
///
/// | | isClosed | reader | mayReceive | watcher of `readable` |
/// | --- | --- | --- | --- | --- |
/// | perhaps readable | false | nil | true | started, unless the loop has found it readable while no green thread waited |
/// | empty | false | nil | false | started, unless no wait came before |
/// | resting | false | nil, and `rest` set | false | started |
/// | waited for | false | parked | true only for a timer, which is not read | started |
/// | found readable | false | ready, has not run yet | any | started; stopped where it `isUnwatched` |
/// | closed | true | nil, or woken with `closed` and has not run yet | any | stopped |
///
/// A blocking socket has neither a reader nor a started watcher, and `mayReceive` is true only between a wait and the read behind it.
///
/// `endsWhenEmpty` may be set in each of these; `isUnwatched` only from the moment when libev refuses to watch until the reader runs.  Nothing is set back by
/// `close`: each call asks for `isClosed` first.  `writing.writer` has the same states as `reader`, and its watcher is started only while a green thread waits.
struct SocketState {
    /// Must be the first field: libev's callback gets the address of the watcher, and takes it for that of the state.  Its context is the hub.
    var readable = IOWatcher()
    /// Waits to receive.
    var reader: GreenThread?
    /// Never changes.
    fileprivate(set) var descriptor: Int32
    /// A `recv` may find something: nothing was read yet, the last read filled its buffer, or the loop has found it readable while no green thread
    /// waited.  A read that didn't fill its buffer has emptied the socket; another would return EAGAIN.
    var mayReceive: Bool
    /// Once the socket is empty, that counts as the end of the stream.
    var endsWhenEmpty = false
    var isClosed = false
    /// The last attempt to watch it failed, for want of the kernel's memory.
    var isUnwatched = false

    /// Nil until the other side was too slow once: few connections ever wait to send.
    var writing: UnsafeMutablePointer<WritingState>?
    /// What rests until something comes, while no green thread waits: for `Scheduler.Fields.restEnded`.
    var rest: UnsafeMutableRawPointer?
    /// That of its hub; none of a blocking socket.
    fileprivate let owner: Owner

    fileprivate init(descriptor: Int32, mayReceive: Bool, owner: Owner) {
        (self.descriptor, self.mayReceive, self.owner) = (descriptor, mayReceive, owner)
    }
}

/// What waiting to send needs.
struct WritingState {
    /// Must be the first field, as `SocketState.readable`.
    var writable = IOWatcher()
    /// Waits to send.
    var writer: GreenThread?
    var isUnwatched = false

    fileprivate init() {}
}

/// What only a blocking socket needs; follows its `SocketState` in memory.
struct BlockingState {
    /// The time limit of a call in nanoseconds, as the kernel was given it last; `Int64.max` for none.
    var receiveLimit = Int64.max
    var sendLimit = Int64.max
    /// There is no hub to share one with.
    var receiveBuffer: SharedBuffer
}

// MARK: - Fields

extension Socket {
    @inline(__always)
    var descriptor: Int32 { state.pointee.descriptor }

    var mayReceive: Bool {
        @inline(__always) get { state.pointee.mayReceive }
        @inline(__always) nonmutating set { state.pointee.mayReceive = newValue }
    }

    var endsWhenEmpty: Bool {
        @inline(__always) get { state.pointee.endsWhenEmpty }
        nonmutating set { state.pointee.endsWhenEmpty = newValue }
    }

    @inline(__always)
    var isClosed: Bool { state.pointee.isClosed }

    var rest: UnsafeMutableRawPointer? {
        get { state.pointee.rest }
        nonmutating set { state.pointee.rest = newValue }
    }

    var reading: UnsafeMutablePointer<IOWatcher> {
        @inline(__always) get { withUnsafeMutablePointer(to: &state.pointee.readable) { $0 } }
    }

    /// Made at the first use.
    var writing: UnsafeMutablePointer<WritingState> {
        if state.pointee.writing == nil { state.pointee.writing = .make(descriptor) }
        return state.pointee.writing!
    }

    /// Where the descriptor lies: what a wait for it has for its detail.
    @inline(__always)
    var address: UInt64 { withUnsafePointer(to: &state.pointee.descriptor) { UInt64(UInt(bitPattern: $0)) } }

    /// Only of a blocking socket.
    @inline(__always)
    var blocking: UnsafeMutablePointer<BlockingState> {
        UnsafeMutableRawPointer(state + 1).assumingMemoryBound(to: BlockingState.self)
    }
}

extension UnsafeMutablePointer<WritingState> {
    fileprivate static func make(_ descriptor: Int32) -> Self {
        let state = allocate(capacity: 1)
        state.initialize(to: WritingState())
        state.watcher.set(.writable, of: descriptor, callback: becameWritable)
        return state
    }

    var watcher: UnsafeMutablePointer<IOWatcher> { withUnsafeMutablePointer(to: &pointee.writable) { $0 } }
}

// MARK: - Ownership

extension Socket {
    /// A non-blocking socket, for the hub of the calling OS thread.  `priority` orders the events of one pass of the loop: listeners come after the
    /// connections that are being served.
    static func make(_ descriptor: Int32, priority: Int32 = 0) -> Socket {
        let hub = Hub.currentThread.scheduler
        let memory = hub.fields.pointee.spareSockets.take() ?? UnsafeMutableRawPointer(allocate(socketSize))
        let socket = Socket(at: memory)
        socket.state.initialize(to: SocketState(descriptor: descriptor, mayReceive: true, owner: .here))
        socket.reading.set(
            .readable, of: descriptor, context: hub.address, priority: priority, callback: becameReadable)
        hub.noteDescriptor(descriptor)
        return socket
    }

    /// A blocking socket, for an OS thread that has no hub.
    ///
    /// In one piece with its receive buffer: among a thousand clients, each page that a message touches is one more to be looked up.
    static func makeBlocking(_ descriptor: Int32, receiveBufferSize: Int) -> Socket {
        let states = MemoryLayout<SocketState>.size + MemoryLayout<BlockingState>.size
        let offset = (states + 63) & ~63  // the buffer begins with a cache line
        let socket = Socket(allocate(offset + receiveBufferSize))
        socket.state.initialize(to: SocketState(descriptor: descriptor, mayReceive: false, owner: Owner()))
        let buffer = UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(socket.state) + offset, count: receiveBufferSize)
        socket.blocking.initialize(to: BlockingState(receiveBuffer: SharedBuffer(buffer)))
        return socket
    }

    private static var socketSize: Int { MemoryLayout<SocketState>.size }

    private static func allocate(_ bytes: Int) -> UnsafeMutablePointer<SocketState> {
        UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64).assumingMemoryBound(to: SocketState.self)
    }

    /// Closes it and frees its memory.  Once no green thread waits for it: one that `close` has woken still looks here.
    func free() {
        closeNow()
        letGo()
    }

    /// Frees its memory, and leaves open the descriptor, which has another owner.  Once no green thread waits for it.
    func letGo() {
        stopWatching()
        state.pointee.writing?.deallocate()
        // The hub may have ended, and the last reference go on another OS thread.
        if let running = Context.running, state.pointee.readable.context == running.scheduler.address,
            running.scheduler.fields.pointee.spareSockets.keep(UnsafeMutableRawPointer(state))
        {
            return
        }
        UnsafeMutableRawPointer(state).deallocate()
    }

    /// Closes the descriptor, once, and wakes the green threads that wait for it with `closed`.  With `keepingDescriptor`, the other side sees the end, and
    /// the caller closes the number later.
    func close(keepingDescriptor: Bool = false) {
        guard !isClosed else { return }
        // Once its hub has closed, no other OS thread uses it.
        if !isHere, HubOwners.hasHub(state.pointee.owner) { stopForElsewhere() }
        closeNow(keepingDescriptor: keepingDescriptor)
    }

    /// Wakes the green threads that wait for it with `closed`, and leaves open the descriptor, which has another owner.
    func endWaits() {
        guard !isClosed else { return }
        checkOwner()
        state.pointee.isClosed = true
        stopWatching()
        wakeWithClosed()
    }

    /// Also where the last reference to its owner goes, which may be on any OS thread: harmless but for a watched socket.
    private func closeNow(keepingDescriptor: Bool = false) {
        guard !isClosed else { return }
        state.pointee.isClosed = true
        // Before the close: libev must not hold a number that the kernel may give away again at once.
        stopWatching()
        if keepingDescriptor { SystemCalls.shutdown(descriptor) } else { SystemCalls.close(descriptor) }
        wakeWithClosed()
    }

    private func wakeWithClosed() {
        state.pointee.reader?.wake(.closed)
        endRest()
        state.pointee.writing?.pointee.writer?.wake(.closed)
    }

    private func stopWatching() {
        stop(reading)
        if let writing = state.pointee.writing { stop(writing.watcher) }
    }

    /// The hub is asked only where its loop refers to the watcher: it may have ended before, and has let go of all watchers then.
    private func stop(_ watcher: UnsafeMutablePointer<IOWatcher>) {
        guard watcher.isKnownToLoop, case .hub(let hub) = mode else { return }
        if !isHere { stopForElsewhere() }
        watcher.stop(on: hub.loop)
    }
}

// MARK: - Its OS thread

extension Socket {
    /// Whether the calling OS thread may use it.  A blocking socket is for any, one at a time.
    private var isHere: Bool { state.pointee.owner.isHere || state.pointee.readable.context == nil }

    /// To be called first by a call that changes it.
    @inline(never)  // The path of a message, which has found its own hub, does not come here.
    func checkOwner() { if !isHere { stopForElsewhere() } }

    /// The green thread that runs, on `hub`: to be called before a wait.
    @inline(__always)
    func thread(on hub: Scheduler) -> GreenThread {
        guard let thread = Context.running, thread.scheduler == hub else { stopForElsewhere() }
        return thread
    }

    /// Apart from the waits, whose frames every parked connection holds.
    @inline(never)
    private func stopForElsewhere() -> Never {
        let kind = "\(SystemCalls.kindOfSocket(descriptor)) (descriptor \(descriptor))"
        if !isHere { state.pointee.owner.stop(kind) }
        programmingError("a \(kind) is used whose hub has closed: it can only be closed or released")
    }
}
