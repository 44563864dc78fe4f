import Glibc

/// Datagrams that are received, or sent, with one system call.
///
///     let batch = DatagramBatch(capacity: 64, size: 2048)
///     while true {
///         try socket.receive(into: batch)
///         // Each answer in its question's place.
///         for datagram in batch { datagram.bytes.reverse() }
///         try socket.send(batch)
///     }
///
/// It takes `capacity` times `size` bytes from when it is made.  Two calls must not use it at once.
public final class DatagramBatch {
    /// How many datagrams have room.
    public let capacity: Int
    /// How many bytes of each.
    public let size: Int
    /// How many are in it.
    @exclusivity(unchecked)
    public private(set) var count = 0
    /// How many of them the last `send` has sent.
    @exclusivity(unchecked)
    public private(set) var sent = 0
    let raw: OpaquePointer

    /// For 1 to 1024 datagrams, of 1 to 65535 bytes each.
    public init(capacity: Int, size: Int) {
        require((1...1024).contains(capacity), "a batch of \(capacity) datagrams: it takes 1 to 1024")
        require((1...65_535).contains(size), "a batch for datagrams of \(size) bytes: they have 1 to 65535")
        (self.capacity, self.size) = (capacity, size)
        guard let raw = SystemCalls.makeBatch(capacity, size) else {
            programmingError("no memory for a batch of \(capacity) datagrams of \(size) bytes")
        }
        self.raw = raw
    }

    deinit { SystemCalls.free(batch: raw) }

    /// Takes out all.
    public func removeAll() { (count, sent) = (0, 0) }

    /// Puts a copy of `bytes`, which may be none, for `peer` behind the others.  It will come from `localAddress` (an address of this machine, whose port does
    /// not matter) where that is given, and else from the one that the kernel chooses, or that the socket is bound to.
    ///
    /// Throws `invalid` where the batch is full or the datagram longer than `size`, and ENAMETOOLONG for a path that no socket can have.
    public func append(
        _ bytes: UnsafeRawBufferPointer, to peer: SocketAddress, from localAddress: SocketAddress? = nil
    ) throws(NetError) {
        if count == capacity {
            throw NetError(.sendmmsg, .invalid("the batch is full, with \(capacity) datagrams"), peer)
        }
        if bytes.count > size {
            throw NetError(.sendmmsg, .invalid("\(bytes.count) bytes are more than the batch's \(size)"), peer)
        }
        guard let storage = peer.storage else { throw NetError(.sendmmsg, result: -Int(ENAMETOOLONG), peer) }
        SystemCalls.setLength(bytes.count, ofDatagram: count, in: raw)
        SystemCalls.bytes(ofDatagram: count, in: raw).copyMemory(from: bytes)
        SystemCalls.setAddress(storage, ofDatagram: count, in: raw)
        if let localAddress { SystemCalls.setLocalAddress(localAddress, ofDatagram: count, in: raw) }
        count += 1
    }

    /// The same for an array.
    public func append(
        _ bytes: [UInt8], to peer: SocketAddress, from localAddress: SocketAddress? = nil
    ) throws(NetError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(NetError) in
            try append(UnsafeRawBufferPointer(bytes), to: peer, from: localAddress)
        }
    }

    /// An IPv6 socket reaches IPv4 by mapped addresses.
    func mapAddresses() {
        for index in 0..<count where SystemCalls.family(ofDatagram: index, in: raw) == AF_INET {
            let (peer, local) = (self[index].peer, self[index].localAddress)
            SystemCalls.setAddress(peer.mapped.storage!, ofDatagram: index, in: raw)
            if let local { SystemCalls.setLocalAddress(local.mapped, ofDatagram: index, in: raw) }
        }
    }

    func noteReceived(_ count: Int) { self.count = count }
    func noteSent(_ count: Int) { sent = count }
}

extension DatagramBatch: RandomAccessCollection {
    /// One datagram in its place in the batch: valid until the batch receives, loses or adds datagrams.
    public struct Item {
        fileprivate let batch: DatagramBatch
        fileprivate let index: Int

        /// May be changed in place.
        public var bytes: UnsafeMutableRawBufferPointer {
            get { SystemCalls.bytes(ofDatagram: index, in: batch.raw) }
            // For `datagram.bytes.reverse()`: the pointer stays as it is.
            nonmutating set {}
        }

        /// Who sent it, or whom it is for.
        public var peer: SocketAddress { SocketAddress(SystemCalls.address(ofDatagram: index, in: batch.raw)) }

        /// The address of this machine, without a port, that it came to, or is to come from; nil where that is not known.  It is where the datagram was received
        /// by a socket that is bound to all addresses: sent back, it comes from where it went to, as its peer expects.
        public var localAddress: SocketAddress? { SystemCalls.localAddress(ofDatagram: index, in: batch.raw) }

        /// It was longer than the batch's `size`, and its end is lost.
        public var isTruncated: Bool { SystemCalls.isTruncated(datagram: index, in: batch.raw) }

        /// Its length becomes `count`, of at most the batch's `size`: for an answer of another length in its place.
        public func resize(to count: Int) {
            require(
                (0...batch.size).contains(count), "resize(to: \(count)): a datagram here has 0 to \(batch.size) bytes")
            SystemCalls.setLength(count, ofDatagram: index, in: batch.raw)
        }
    }

    /// The place of the first datagram: 0.
    public var startIndex: Int { 0 }
    /// The place behind the last datagram: `count`.
    public var endIndex: Int { count }

    /// The datagram in this place.
    public subscript(index: Int) -> Item {
        require((0..<count).contains(index), "datagram \(index) of a batch that has \(count)")
        return Item(batch: self, index: index)
    }
}

@available(*, unavailable)
extension DatagramBatch: Sendable {}
