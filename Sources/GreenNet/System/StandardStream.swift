import Glibc

/// Standard input, standard output or standard error, used as if it blocked: a call that has to wait parks its green thread, and the others run.
///
///     let lines = LineReader(StandardStream.input)
///     while let line = try lines.next() { try StandardStream.output.sendAll("\(line)\n") }
///
/// It may be a terminal, a pipe, a socket, a file or a device.  The open file behind it is shared with other processes, the shell say: it is never made
/// non-blocking, which all of them would feel.
///
/// - **A pipe, a socket**: what the kernel takes or has at once, then a wait.  Pieces of up to 4096 bytes go to a pipe whole, among those of other
///   processes.  Before Linux 6.4, another process that reads from the same pipe at the same moment can make a read block, and one that writes a write.
/// - **A terminal**: while output is held, by Ctrl-S say, the writer waits.  In the background, `receive` waits until the shell brings the program to
///   the foreground, and so does `sendAll` where `stty tostop` asks for that; neither lets the kernel stop the program, and with it all green threads, by SIGTTIN or
///   SIGTTOU.  It looks ten times a second.  The end that Ctrl-D makes is told once: a later `receive` waits for more.
/// - **A file**: a read that would wait for the disk does so on an OS thread of `Hub.offload`.  A write goes to the kernel's memory, and waits for the disk where that is full.
///
/// `sendAll` does not buffer; what `print` has buffered comes behind it, unless `fflush` comes before.  Where the reader of a pipe is gone, SIGPIPE ends the
/// program, as it ends other filters; where SIGPIPE is ignored, `sendAll` throws EPIPE.
///
/// Each of the three properties makes a new object, to be kept and used on one hub by one green thread at a time.  What is read ahead is in the reader that has
/// read it: make one reader.
public final class StandardStream: ByteStream, HubObject {
    /// Standard input.  What is sent to it throws EBADF.
    public static var input: StandardStream { StandardStream(STDIN_FILENO, .readable, "standard input") }
    /// Standard output.  `receive` throws EBADF.
    public static var output: StandardStream { StandardStream(STDOUT_FILENO, .writable, "standard output") }
    /// Standard error.  `receive` throws EBADF.
    public static var error: StandardStream { StandardStream(STDERR_FILENO, .writable, "standard error") }

    /// Whether it is a terminal.
    public var isTerminal: Bool { kind == .terminal }

    enum Kind {
        case terminal, pipe, socket, file
        /// A device such as /dev/null.
        case other
    }

    private let number: Int32
    private let direction: Direction
    private let name: String
    let kind: Kind
    var owner = Owner()
    private var isClosed = false
    /// While a green thread waits.
    private var waiting: Socket?
    /// The terminal once more, in an open file of its own that does not block; -1 where it was not needed or can't be had.
    private var ownOutput: Int32 = -1
    private var hasTriedOwnOutput = false

    init(_ number: Int32, _ direction: Direction, _ name: String) {
        (self.number, self.direction, self.name) = (number, direction, name)
        kind = Kind(of: number)
    }

    deinit { closeOwnOutput() }

    // MARK: Receiving

    /// Waits until something has come, reads as much of it into `buffer` as is there and fits, and returns how many bytes.  Nil at the end.  `buffer` has
    /// room for 1 byte or more.
    ///
    /// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and where the kernel reports an error.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never
    ) throws(NetError) -> Int? {
        require(!buffer.isEmpty, "receive(into:): the buffer has no room")
        try begin(.readable)
        while true {
            try waitForTerminal(until: deadline)
            if isClosed { throw error(.wait(.closed)) }
            var count = readNow(into: buffer)
            if kind == .file, count == -Int(EAGAIN) {
                try prefetch(until: deadline)
                count = SystemCalls.read(number, into: buffer)
            }
            if count >= 0 { return count == 0 ? nil : count }
            try waitUnlessFailed(count, until: deadline)
        }
    }

    /// A negative errno; EAGAIN where nothing is there.
    private func readNow(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        switch kind {
        case .socket: return SystemCalls.receiveNow(number, into: buffer)
        case .pipe, .file:
            let count = SystemCalls.readNow(number, into: buffer)
            return count == -Int(EOPNOTSUPP) ? readIfReady(into: buffer) : count
        case .terminal: return SystemCalls.withoutBeingStopped { readIfReady(into: buffer) }
        case .other: return readIfReady(into: buffer)
        }
    }

    private func readIfReady(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let readiness = SystemCalls.poll(number, for: .readable)
        return readiness > 0 ? SystemCalls.read(number, into: buffer) : readiness < 0 ? readiness : -Int(EAGAIN)
    }

    // MARK: Sending

    /// Sends all of `bytes`, waiting as often as the other side is slow.
    ///
    /// Throws as `receive` does; the error's `sent` says how many bytes were written by then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(NetError) {
        var sent = 0
        do throws(NetError) {
            try begin(.writable)
            while sent < bytes.count {
                try waitForTerminal(until: deadline)
                if isClosed { throw self.error(.wait(.closed)) }
                let count = writeNow(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
                if count < 0 { try waitUnlessFailed(count, until: deadline) } else { sent += count }
                if sent < bytes.count { try takeTurn() }
            }
        } catch {
            throw error.after(sent: sent)
        }
    }

    /// What a pipe takes whole.
    private static let shortPiece = 4096
    /// To a file between two looks at the other green threads.
    private static let longPiece = 64 << 10

    /// A negative errno; EAGAIN where there is no room.
    private func writeNow(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch kind {
        case .socket: return SystemCalls.sendNow(number, bytes)
        case .pipe:
            let count = SystemCalls.writeNow(number, bytes)
            return count == -Int(EOPNOTSUPP) ? writeIfReady(bytes) : count
        case .terminal:
            let own = ownTerminal()
            return SystemCalls.withoutBeingStopped {
                own >= 0 ? SystemCalls.write(own, bytes) : writeIfReady(bytes)
            }
        case .file: return SystemCalls.write(number, bytes.start(StandardStream.longPiece))
        case .other: return writeIfReady(bytes)
        }
    }

    /// A pipe that has room has it for a short piece.
    private func writeIfReady(_ bytes: UnsafeRawBufferPointer) -> Int {
        let readiness = SystemCalls.poll(number, for: .writable)
        if readiness <= 0 { return readiness < 0 ? readiness : -Int(EAGAIN) }
        return SystemCalls.write(number, bytes.start(StandardStream.shortPiece))
    }

    /// A terminal whose output is held takes a few bytes more, and a write of one byte too many would block the OS thread.
    private func ownTerminal() -> Int32 {
        if !hasTriedOwnOutput { ownOutput = Int32(max(-1, SystemCalls.openAgainForWriting(number))) }
        hasTriedOwnOutput = true
        return ownOutput
    }

    private func closeOwnOutput() {
        if ownOutput >= 0 { SystemCalls.close(ownOutput) }
        ownOutput = -1
    }

    // MARK: Waiting

    private func begin(_ wanted: Direction) throws(NetError) {
        checkOwner()
        if wanted != direction { throw error(.system(SystemError(EBADF)), wanted) }
        if isClosed { throw error(.wait(.closed)) }
        require(waiting == nil, "two green threads use \(name) at once")
        try takeTurn()
    }

    private func takeTurn() throws(NetError) {
        guard let thread = Context.running else { return }
        do throws(WaitError) { try thread.takeTurn() } catch { throw self.error(.wait(error)) }
    }

    /// After a read or a write that returned `result`, a negative errno.
    private func waitUnlessFailed(_ result: Int, until deadline: Deadline) throws(NetError) {
        if kind == .terminal, result == -Int(EIO), mustWaitForForeground { return }
        if result != -Int(EAGAIN) { throw error(.system(SystemError(Int32(-result)))) }
        try wait(until: deadline)
        if isClosed { throw error(.wait(.closed)) }
    }

    private func wait(until deadline: Deadline) throws(NetError) {
        let descriptor = ownOutput >= 0 ? ownOutput : number
        let readiness = SystemCalls.poll(descriptor, for: direction)
        if readiness < 0 { throw error(.system(SystemError(Int32(-readiness)))) }
        // Another process was faster.
        if readiness > 0 { return try takeTurn() }
        // For this wait only: between two, the program may close the descriptor or put another one in its place.
        let socket = Socket.make(descriptor)
        waiting = socket
        defer {
            waiting = nil
            socket.letGo()
        }
        let ending =
            direction == .readable
            ? socket.waitUntilReadable(until: deadline) : socket.waitUntilWritable(until: deadline)
        if let ending { throw error(.wait(ending)) }
    }

    /// Makes the kernel read from the disk what is read next.  Given up, the call goes on without harm: it moves nothing.
    private func prefetch(until deadline: Deadline) throws(NetError) {
        do {
            let number = number
            try Hub.current.offload(until: deadline) { SystemCalls.prefetch(number, StandardStream.longPiece) }
        } catch {
            if let ending = error as? WaitError { throw self.error(.wait(ending)) }
            // Without an OS thread, the read itself waits for the disk.
        }
    }

    /// Ten times a second, nothing tells of it.
    private static let lookInterval = Duration.milliseconds(100)

    private var mustWaitForForeground: Bool {
        SystemCalls.isInBackground(of: number) && (direction == .readable || SystemCalls.stopsWriters(number))
    }

    private func waitForTerminal(until deadline: Deadline) throws(NetError) {
        guard kind == .terminal else { return }
        while mustWaitForForeground {
            if deadline.hasPassed { throw error(.wait(.deadlinePassed)) }
            do throws(WaitError) {
                try Greenlet.sleep(until: min(.after(StandardStream.lookInterval), deadline))
            } catch {
                throw self.error(.wait(error))
            }
            if isClosed { throw error(.wait(.closed)) }
        }
    }

    private func error(_ ending: NetError.Ending, _ wanted: Direction? = nil) -> NetError {
        NetError((wanted ?? direction) == .readable ? .read : .write, ending, subject: name)
    }

    // MARK: Ending

    /// Ends standard output or standard error: its reader gets all that was sent and then the end, as soon as no other process holds the same pipe, terminal or
    /// file open.  Later calls throw an error with `isClosed`.  Of standard input, and the second time, it does nothing.  Never waits.
    ///
    /// The descriptor itself is closed for the whole process, `print` and its children too: /dev/null takes its place.  Of a socket, the
    /// sending direction is shut down for all who share it, and the descriptor stays.
    /// Throws what closing reports, such as ENOSPC on a network's file system.
    public func shutdownSending() throws(NetError) {
        checkOwner()
        if isClosed || direction == .readable { return }
        stopWaiting()
        let result: Int
        if kind == .socket {
            result = SystemCalls.shutdownSending(number)
        } else {
            let written = SystemCalls.closeCopy(of: number)
            let replaced = SystemCalls.replaceByNull(number, direction)
            result = written < 0 ? written : replaced
        }
        if result < 0 { throw error(.system(SystemError(Int32(-result)))) }
    }

    /// Closes the descriptor for the whole process: /dev/null takes its place, and the other side sees that this process has gone.  Green threads that wait
    /// in a call get an error with `isClosed`, and so do later calls.  May be called again.  Never waits.
    public func close() {
        checkOwner()
        if isClosed { return }
        stopWaiting()
        _ = SystemCalls.replaceByNull(number, direction)
    }

    private func stopWaiting() {
        isClosed = true
        waiting?.endWaits()
        closeOwnOutput()
    }
}

extension StandardStream.Kind {
    init(of descriptor: Int32) {
        switch SystemCalls.kind(of: descriptor) {
        case S_IFIFO: self = .pipe
        case S_IFSOCK: self = .socket
        case S_IFREG: self = .file
        default: self = SystemCalls.isTerminal(descriptor) ? .terminal : .other
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Its first bytes, `count` of them or fewer.
    fileprivate func start(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: prefix(count)) }
}

@available(*, unavailable)
extension StandardStream: Sendable {}
