import Glibc

// MARK: - Several pieces in one call

extension Connection {
    /// Sends all of several pieces, one behind the other, such as a head and its body: in one system call, without joining them in memory first.
    ///
    /// Throws as `sendAll` of raw bytes does; the error's `sent` counts over all pieces.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(
        gathering pieces: [UnsafeRawBufferPointer], until deadline: Deadline = .never
    ) throws(NetError) {
        var rest = GatheredPieces(pieces)
        if let error = socket.prepareToSend(until: deadline) { throw NetError(.send, .wait(error), peer) }
        rest.drop(try sendNow(&rest))
        if !rest.isEmpty { return try sendRest(of: rest, pieces, until: deadline) }
        for piece in pieces { spoilIfShared(piece) }
        try takeTurn(afterSending: rest.sent)
    }

    /// Sends all of several pieces.  Throws as `sendAll(gathering:)` of raw pieces does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(gathering pieces: [[UInt8]], until deadline: Deadline = .never) throws(NetError) {
        try withPointers(to: pieces) { (pieces) throws(NetError) in try sendAll(gathering: pieces, until: deadline) }
    }

    /// 0 where the kernel has no room.
    private func sendNow(_ rest: inout GatheredPieces) throws(NetError) -> Int {
        if socket.isClosed { throw NetError(.send, .wait(.closed), peer) }
        let sent = rest.withNext { SystemCalls.send(socket.descriptor, gathering: $0) }
        if sent >= 0 { return sent }
        if sent == -Int(EAGAIN) { return 0 }
        throw NetError(.send, result: sent, peer).after(sent: rest.sent)
    }

    /// The other side is slow, or there are more pieces than one call takes.
    private func sendRest(
        of rest: consuming GatheredPieces, _ pieces: [UnsafeRawBufferPointer], until deadline: Deadline
    ) throws(NetError) {
        socket.checkOwner()
        var rest = rest
        // Others receive into the shared buffer while this green thread waits.
        let copies = pieces.map { copyIfShared($0) }
        defer { for copy in copies { copy?.deallocate() } }
        if copies.contains(where: { $0 != nil }) {
            let sent = rest.sent
            rest = GatheredPieces(zip(pieces, copies).map { $1.map { UnsafeRawBufferPointer($0) } ?? $0 })
            rest.drop(sent)
        }
        while !rest.isEmpty {
            if let error = socket.waitUntilWritable(until: deadline) {
                throw NetError(.send, .wait(error), peer, sent: rest.sent)
            }
            rest.drop(try sendNow(&rest))
        }
    }
}

/// Calls `body` with where the bytes of `pieces` lie, which is valid until it returns.
func withPointers<Value, Failure: Error>(
    to pieces: [[UInt8]], _ body: ([UnsafeRawBufferPointer]) throws(Failure) -> Value
) throws(Failure) -> Value {
    // An array's bytes stay in place as long as one of its owners does not change it; `pieces` is such an owner, and lives as long as `body` runs.
    let pointers = pieces.map { piece in piece.withUnsafeBytes { $0 } }
    defer { withExtendedLifetime(pieces) {} }
    return try body(pointers)
}

/// What of several pieces is still to be sent.
struct GatheredPieces {
    private var pieces: [iovec]
    /// The first that was not sent to its end.
    private var first = 0
    private(set) var sent = 0

    /// Of empty pieces, nothing is to be sent.
    init(_ pieces: [UnsafeRawBufferPointer]) {
        self.pieces = pieces.compactMap { piece in
            piece.isEmpty
                ? nil : iovec(iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress), iov_len: piece.count)
        }
    }

    var isEmpty: Bool { first == pieces.count }

    /// Linux takes no more in one call (UIO_MAXIOV).
    static let mostInOneCall = 1024

    mutating func withNext<Value>(_ body: (UnsafeMutableBufferPointer<iovec>) -> Value) -> Value {
        let range = first..<min(pieces.count, first + GatheredPieces.mostInOneCall)
        return pieces.withUnsafeMutableBufferPointer { body(UnsafeMutableBufferPointer(rebasing: $0[range])) }
    }

    /// `count` bytes more were sent.
    mutating func drop(_ count: Int) {
        sent += count
        var left = count
        while left > 0 {
            let size = min(left, pieces[first].iov_len)
            pieces[first].iov_base += size
            pieces[first].iov_len -= size
            if pieces[first].iov_len == 0 { first += 1 }
            left -= size
        }
    }
}
