import Glibc
import ProgramKit
import TestSupport
import Testing

@testable import GreenNet

let loopback = SocketAddress.loopback(port: 0)

// MARK: - Both sides

/// The other side of a connection under test: a plain non-blocking socket, which belongs to no hub.
final class Peer: @unchecked Sendable {
    // Changed only by `close`; a flood on another OS thread has ended by then.
    private(set) var descriptor: Int32

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    /// Connected as soon as it is in the listener's queue.  A small `receiveBuffer`, in bytes, makes a reader that takes little at a time.
    convenience init(connectedTo address: SocketAddress, receiveBuffer: Int32? = nil) throws {
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if let receiveBuffer { setOption(descriptor, SO_RCVBUF, to: receiveBuffer) }
        var storage = address.storage!
        let number = withUnsafeMutablePointer(to: &storage) { storage in
            Glibc.connect(descriptor, storage.address, storage.pointee.length) < 0 ? errno : 0
        }
        self.init(descriptor)
        if number != 0 { throw SystemError(number) }
    }

    deinit { close() }

    var address: SocketAddress {
        var storage = KernelAddress()
        _ = SystemCalls.localAddress(descriptor, into: &storage)
        return SocketAddress(storage)
    }

    /// Returns the number of bytes that the kernel has taken.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Int { sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), nil, 0) }

    func writeAll(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        try waitUntil {
            rest = rest.dropFirst(max(0, write(Array(rest))))
            return rest.isEmpty
        }
    }

    enum Arrival: Equatable {
        case bytes([UInt8])
        /// Nothing has come so far.
        case nothing
        case end
        case failed(SystemError)
    }

    func read(upTo limit: Int = 1 << 20) -> Arrival {
        var number: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            let result = Glibc.read(descriptor, buffer.baseAddress!, limit)
            number = result < 0 ? errno : 0
            count = max(result, 0)
        }
        if number != 0 { return number == EAGAIN ? .nothing : .failed(SystemError(number)) }
        return bytes.isEmpty ? .end : .bytes(bytes)
    }

    /// Waits for `count` bytes, or fewer where the stream ends before.
    func read(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try waitUntil {
            while bytes.count < count {
                switch read(upTo: min(count - bytes.count, 1 << 20)) {
                case .bytes(let more): bytes += more
                case .nothing: return false
                case .end: return true
                case .failed(let errno): throw errno
                }
            }
            return true
        }
        return bytes
    }

    func readToEnd() throws -> [UInt8] { try read(exactly: .max) }

    /// Waits for the end of the stream, or for the error that comes in its place.
    func ending() throws -> Arrival {
        var last = Arrival.nothing
        try waitUntil {
            last = read()
            return last == .end || last.isFailure
        }
        return last
    }

    func finish() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes the socket so that the other side gets a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }
}

extension Peer.Arrival {
    fileprivate var isFailure: Bool {
        if case .failed = self { true } else { false }
    }
}

/// A connection under test and its other side, over TCP.
func connectedPair(receiveBuffer: Int32? = nil) throws -> (Connection, Peer) {
    let listener = try Listener(on: loopback)
    let peer = try Peer(connectedTo: listener.address, receiveBuffer: receiveBuffer)
    return (try listener.accept(), peer)
}

/// The same with small kernel buffers on both sides, so that a send soon waits for the peer to read.
func narrowPair() throws -> (Connection, Peer) {
    let (connection, peer) = try connectedPair(receiveBuffer: 4096)
    setOption(connection.descriptor, SO_SNDBUF, to: 4096)
    return (connection, peer)
}

/// Two connections, one to the other.
func connectedConnections() throws -> (Connection, Connection) {
    let listener = try Listener(on: loopback)
    let client = try Connection.connect(to: listener.address)
    return (client, try listener.accept())
}

extension Connection {
    var descriptor: Int32 { socket.descriptor }

    /// Sends until the kernel takes no more; returns the number of bytes.
    func fill() -> Int {
        var taken = 0
        let bytes = [UInt8](repeating: 0, count: 4096)
        // The kernel may still be moving bytes to the other side, whose acknowledgement may take 40 ms.
        var quiet = Deadline.after(.milliseconds(60))
        while !quiet.hasPassed {
            let count = sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT), nil, 0)
            if count < 0 {
                poll(nil, 0, 1)
            } else {
                taken += count
                quiet = .after(.milliseconds(60))
            }
        }
        return taken
    }
}

func setOption(_ descriptor: Int32, _ name: Int32, to value: Int32) {
    _ = SystemCalls.setOption(descriptor, level: SOL_SOCKET, name, to: value)
}

func option(_ descriptor: Int32, level: Int32, _ name: Int32) -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    _ = getsockopt(descriptor, level, name, &value, &length)
    return value
}

// MARK: - Waiting

/// Polls `condition` until it is true, and lets the other green threads run between two polls.
func waitUntil(
    within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
) throws {
    let deadline = Deadline.after(limit * Sanitizer.slowness)
    while try !condition() {
        try #require(!deadline.hasPassed, "it never came", sourceLocation: sourceLocation)
        try Greenlet.sleep(for: .milliseconds(1))
    }
}

extension AnyGreenlet {
    /// Lets the green thread run until it waits.
    func waitUntilParked(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try waitUntil(sourceLocation: sourceLocation) { state == .waiting }
    }
}

/// Keeps the OS thread busy until `deadline` has passed: the hub then sees all events up to there in one pass.
func block(until deadline: Deadline) {
    while !deadline.hasPassed {}
}

/// The error that `body` threw; nil if it returned.
func failure<Value>(of body: () throws(NetError) -> Value) -> NetError? {
    do throws(NetError) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}

// MARK: - Costs

/// The time for which the processor has worked for this OS thread.
func processorTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

func openDescriptors() -> Int { (0..<4096).count { fcntl($0, F_GETFD) >= 0 } }

/// Runs `body` with room for `free` more descriptors than are open now.
func withRoom<R>(forDescriptors free: Int, _ body: () throws -> R) throws -> R {
    var (limit, left) = (Int32(0), free)
    while left > 0 || fcntl(limit, F_GETFD) >= 0 {
        if fcntl(limit, F_GETFD) < 0 { left -= 1 }
        limit += 1
    }
    return try withDescriptorLimit(Int(limit), body)
}

/// Runs `body` with as many descriptors as are allowed at all.
func withAllDescriptors<R>(_ body: () throws -> R) throws -> R { try withDescriptorLimit(DescriptorLimit.most, body) }

private func withDescriptorLimit<R>(_ limit: Int, _ body: () throws -> R) throws -> R {
    let before = DescriptorLimit.current
    try DescriptorLimit.set(limit)
    defer { try! DescriptorLimit.set(before) }
    return try body()
}

// MARK: - Bytes and files

/// Bytes of which no part resembles another.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        var state = UInt64(seed)
        var index = 0
        while index < count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            buffer[index] = UInt8(truncatingIfNeeded: state >> 56)
            index += 1
        }
        filled = count
    }
}

/// For many bytes: if they differ, the issue names the first difference only.
func expectSame(_ bytes: [UInt8], _ wanted: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
    guard bytes != wanted else { return }
    let place = zip(bytes, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    Issue.record(
        "\(bytes.count) bytes in place of \(wanted.count), different from \(place ?? min(bytes.count, wanted.count)) on",
        sourceLocation: sourceLocation)
}
