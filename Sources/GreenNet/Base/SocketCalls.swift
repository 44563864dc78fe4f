internal import CLinux
import Glibc

/// Calls on sockets, pipes and files of which Swift does not see the structures; with results as `SystemCalls` has them.
extension SystemCalls {
    // MARK: Descriptors

    /// 1 where both numbers lead to the same open file; else 0, or -EBADF.
    static func isSameFile(_ one: Int32, _ other: Int32) -> Int { Int(green_same_file(one, other)) }

    /// Two stream sockets, non-blocking and closed on exec.
    static func streamPair(_ ends: inout (Int32, Int32)) -> Int {
        withUnsafeMutableBytes(of: &ends) {
            Int(green_socket_pair($0.baseAddress!.assumingMemoryBound(to: Int32.self)))
        }
    }

    static func setOption(_ descriptor: Int32, level: Int32, _ name: Int32, to text: String) -> Int {
        Int(green_set_text_option(descriptor, level, name, text))
    }

    /// The process, the user and the group of a unix socket's other side.
    static func peerCredentials(_ descriptor: Int32, _ numbers: inout (Int32, Int32, Int32)) -> Int {
        withUnsafeMutableBytes(of: &numbers) {
            Int(green_peer_credentials(descriptor, $0.baseAddress!.assumingMemoryBound(to: Int32.self)))
        }
    }

    /// The most that one message can have.
    static let mostDescriptors = Int(green_most_descriptors)

    static func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32]) -> Int {
        green_send_descriptors(socket, bytes.baseAddress, bytes.count, descriptors, descriptors.count)
    }

    /// The first `count` of `descriptors` are set then.
    static func receive(
        _ socket: Int32, into bytes: UnsafeMutableRawBufferPointer, _ descriptors: UnsafeMutableBufferPointer<Int32>
    ) -> (result: Int, count: Int, wereLost: Bool) {
        var passed = green_passed()
        let result = green_receive_descriptors(
            socket, bytes.baseAddress, bytes.count, descriptors.baseAddress, descriptors.count, &passed)
        return (result, passed.count, passed.were_lost != 0)
    }
}

// MARK: - Bulk

extension SystemCalls {
    /// The pipe's room in bytes.  Its ends do not block.
    static func bulkPipe(_ ends: inout (Int32, Int32), _ size: Int) -> Int {
        withUnsafeMutableBytes(of: &ends) {
            Int(green_bulk_pipe($0.baseAddress!.assumingMemoryBound(to: Int32.self), Int32(size)))
        }
    }

    static func splice(from socket: Int32, intoPipe pipe: Int32, _ count: Int) -> Int {
        green_splice_in(socket, pipe, count)
    }

    /// A peer that is gone is an error here, never SIGPIPE.
    static func splice(fromPipe pipe: Int32, to socket: Int32, _ count: Int) -> Int {
        green_splice_out(pipe, socket, count, 0)
    }

    /// The same.
    static func send(_ socket: Int32, file: Int32, from offset: Int, _ count: Int) -> Int {
        green_send_file_part(socket, file, off_t(offset), count)
    }

    static func openToRead(_ path: String) -> Int { Int(green_open_to_read(path)) }
}

// MARK: - Datagrams

extension SystemCalls {
    /// The datagram's whole length, though `buffer` may have less room.
    static func receive(
        _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, from storage: inout KernelAddress
    ) -> Int {
        withUnsafeMutablePointer(to: &storage) { storage in
            green_receive_from(
                socket, buffer.baseAddress, buffer.count, storage.address, &storage.pointee.length)
        }
    }

    /// Nil where there is no memory.
    static func makeBatch(_ capacity: Int, _ size: Int) -> OpaquePointer? { green_batch_make(capacity, size) }
    static func free(batch: OpaquePointer) { green_batch_free(batch) }

    static func receive(_ socket: Int32, batch: OpaquePointer) -> Int { green_batch_receive(socket, batch) }

    /// How many of these were taken.  With `segments`, those of one length for one address as one.
    static func send(_ socket: Int32, batch: OpaquePointer, _ range: Range<Int>, segments: Bool) -> Int {
        green_batch_send(socket, batch, range.lowerBound, range.upperBound, segments ? 1 : 0)
    }

    static func bytes(ofDatagram index: Int, in batch: OpaquePointer) -> UnsafeMutableRawBufferPointer {
        let datagram = green_batch_at(batch, index)!
        return UnsafeMutableRawBufferPointer(start: datagram.pointee.bytes, count: datagram.pointee.length)
    }

    /// `length` is at most what the batch was made for.
    static func setLength(_ length: Int, ofDatagram index: Int, in batch: OpaquePointer) {
        green_batch_at(batch, index)!.pointee.length = length
    }

    static func isTruncated(datagram index: Int, in batch: OpaquePointer) -> Bool {
        green_batch_at(batch, index)!.pointee.is_truncated != 0
    }

    static func family(ofDatagram index: Int, in batch: OpaquePointer) -> Int32 {
        Int32(green_batch_at(batch, index)!.pointee.address.ss_family)
    }

    static func address(ofDatagram index: Int, in batch: OpaquePointer) -> KernelAddress {
        let datagram = green_batch_at(batch, index)!
        return KernelAddress(bytes: datagram.pointee.address, length: datagram.pointee.address_length)
    }

    static func setAddress(_ storage: KernelAddress, ofDatagram index: Int, in batch: OpaquePointer) {
        let datagram = green_batch_at(batch, index)!
        datagram.pointee.address = storage.bytes
        datagram.pointee.address_length = storage.length
        datagram.pointee.is_truncated = 0
        datagram.pointee.local_family = 0
    }
}
