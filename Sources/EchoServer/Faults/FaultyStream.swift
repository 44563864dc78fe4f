import Glibc
import GreenNet
import GreenTLS

/// A stream to a client, to which a fault is done on purpose.  Its user meets ends of the stream and slow sends, as those of a bad network.
///
/// `connection` is the stream itself, or lies under its TLS.
final class FaultyStream<Base: PeerStream>: PeerStream {
    private let base: Base
    private let connection: Connection
    private let plan: FaultPlan
    private let counters: CounterRow
    private let start = Deadline.now
    @exclusivity(unchecked)
    private var random: SplitMix
    /// Bytes of answers.
    @exclusivity(unchecked)
    private var sent = 0
    /// The client gets no more answers.
    @exclusivity(unchecked)
    private var isCut = false
    /// Nothing more is received either.
    @exclusivity(unchecked)
    private var hasEnded = false
    /// When the bandwidth allows the next bytes.
    @exclusivity(unchecked)
    private var nextSend = Deadline.now

    init(_ base: Base, on connection: Connection, _ fault: Fault, _ counters: CounterRow) {
        (self.base, self.connection, self.counters) = (base, connection, counters)
        (plan, random) = (fault.plan, fault.random)
    }

    var peerAddress: SocketAddress { base.peerAddress }

    /// Whether the client was sent an end already, in order or not.
    var isOver: Bool { isCut || hasEnded }

    func shutdownSending() throws { if !isOver { try base.shutdownSending() } }
    func close() { base.close() }

    // MARK: Receiving

    func receiveView(until deadline: Deadline) throws -> UnsafeMutableRawBufferPointer? {
        if plan.stalls { return try stall(until: deadline) }
        return try receive(until: deadline) { try base.receiveView(until: $0) }
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        if plan.stalls { return try stall(until: deadline) }
        return try receive(until: deadline) { try base.receive(into: buffer, until: $0) }
    }

    private func receive<Value>(until deadline: Deadline, _ body: (Deadline) throws -> Value?) throws -> Value? {
        while !hasEnded {
            if timeLimit.hasPassed {
                endByTime()
                continue
            }
            do { return try body(min(deadline, timeLimit)) } catch {
                guard error.isTimeout, timeLimit.hasPassed else { throw error }
            }
        }
        return nil
    }

    /// Until the client has gone, or `deadline`: the end of the stream then.
    private func stall<Value>(until deadline: Deadline) throws -> Value? {
        counters.add(to: .faultsStalled)
        let end = min(deadline, timeLimit)
        while !end.hasPassed, !connection.hasEvent(FaultPause.clientHasEnded) {
            try FaultPause.wait(until: end)
        }
        if timeLimit.hasPassed { endByTime() }
        return nil
    }

    // MARK: Sending

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws {
        try send(bytes) { try base.sendAll($0, until: min(deadline, $1)) }
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws {
        try send(bytes) { try base.sendAll($0, until: min(.after(stall), $1)) }
    }

    /// `bytes` may lie in the buffer that others receive into while this one waits: they are copied.
    private func send(
        _ bytes: UnsafeRawBufferPointer, through sendPiece: (UnsafeRawBufferPointer, Deadline) throws -> Void
    ) throws {
        if isOver { return }
        var copy = [UInt8](bytes)
        if let probability = plan.corrupt { corrupt(&copy, probability) }
        try pause(until: .after(latency))
        try copy.withUnsafeBytes { all in
            var done = 0
            while done < all.count, !hasMetLimit() {
                let count = min(all.count - done, room)
                let piece = UnsafeRawBufferPointer(rebasing: all[done..<done + count])
                do { try sendPiece(piece, timeLimit) } catch {
                    guard error.isTimeout, timeLimit.hasPassed else { throw error }
                    continue
                }
                (done, sent) = (done + count, sent + count)
                try keepPace(after: count)
            }
            _ = hasMetLimit()
        }
    }

    private var latency: Duration {
        guard let jitter = plan.jitter else { return plan.delay ?? .zero }
        return (plan.delay ?? .zero) + .nanoseconds(Int64.random(in: 0...jitter.nanoseconds, using: &random))
    }

    private func corrupt(_ bytes: inout [UInt8], _ probability: Double) {
        for index in bytes.indices where random.happens(probability) {
            bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
    }

    /// The next piece is no longer than the limits allow.  With a bandwidth, it takes a twentieth of a second.
    private var room: Int {
        let limits = [plan.resetAfter?.bytes, plan.closeAfter?.bytes, plan.truncate].compactMap { $0 }
        let left = limits.map { $0 - sent }.min() ?? .max
        return min(left, plan.bandwidth.map { max(1, $0 / 20) } ?? .max)
    }

    private func keepPace(after count: Int) throws {
        guard let bandwidth = plan.bandwidth else { return }
        nextSend = max(nextSend, .now) + .nanoseconds(Int64(Double(count) / Double(bandwidth) * 1e9))
        try pause(until: nextSend)
    }

    /// Returns before `deadline` where the client has gone, or the connection's time is over.
    private func pause(until deadline: Deadline) throws {
        let end = min(deadline, timeLimit)
        while !end.hasPassed, !connection.hasEvent(0) { try FaultPause.wait(until: end) }
    }

    // MARK: Limits

    /// When the connection is to end; never where no limit is a time.
    private var timeLimit: Deadline {
        [plan.resetAfter, plan.closeAfter].compactMap { $0?.time }.min().map { start + $0 } ?? .never
    }

    /// Ends the connection, or the answers, where a limit is met.  Returns whether no more is to be sent.
    private func hasMetLimit() -> Bool {
        if isOver { return true }
        if timeLimit.hasPassed { endByTime() }
        if let limit = plan.resetAfter?.bytes, sent >= limit { reset() }
        if !hasEnded, let limit = plan.closeAfter?.bytes, sent >= limit { closeInOrder() }
        if !hasEnded, let limit = plan.truncate, sent >= limit { cut() }
        return isOver
    }

    private func endByTime() {
        if let time = plan.resetAfter?.time, (start + time).hasPassed { reset() } else { closeInOrder() }
    }

    private func reset() {
        hasEnded = true
        connection.resetsWhenClosed()
        counters.add(to: .faultsReset)
    }

    /// The client gets the end of the stream.  What it still sends is dropped for a moment: else the close would become a reset.
    private func closeInOrder() {
        if !isCut { try? base.shutdownSending() }
        hasEnded = true
        counters.add(to: .faultsClosed)
        let end = Deadline.after(StreamServer.grace / 2)
        while !end.hasPassed, let bytes = try? base.receiveView(until: end) { _ = bytes }
    }

    private func cut() {
        isCut = true
        try? base.shutdownSending()
        counters.add(to: .faultsTruncated)
    }
}

/// A wait on purpose, which ends now and then: to look whether the client is still there.
private enum FaultPause {
    private static let slice = Duration.milliseconds(250)

    static func wait(until end: Deadline) throws { try Pause.wait(for: max(.zero, min(slice, end - .now))) }

    /// The kernel's POLLRDHUP, which Swift's view of glibc leaves out.
    static let clientHasEnded: Int16 = 0x2000
}

extension Connection {
    /// Whether the kernel reports one of `events`, or the end of both directions, or an error.
    fileprivate func hasEvent(_ events: Int16) -> Bool {
        let result = try? withDescriptor { descriptor in
            var question = pollfd(fd: descriptor, events: events, revents: 0)
            return Glibc.poll(&question, 1, 0) > 0
        }
        return result ?? true
    }

    /// Its close, which is the owner's, resets it.
    func resetsWhenClosed() {
        _ = try? withDescriptor { descriptor in
            var now = Glibc.linger(l_onoff: 1, l_linger: 0)
            return setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<Glibc.linger>.size))
        }
    }
}
