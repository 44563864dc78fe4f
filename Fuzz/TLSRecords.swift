import Glibc
import GreenNet
import GreenTLS

extension FuzzTarget {
    /// The first byte chooses the side, and whether the handshake is done; the others are what the other side sends.  It ends with an error, or with an end.
    static func receiveRecords(_ bytes: [UInt8]) {
        guard let choice = bytes.first else { return }
        let fuzzed = Array(bytes.dropFirst())
        let context = choice & 1 == 0 ? FuzzedTLS.server : FuzzedTLS.client
        let name: String? = choice & 1 == 0 ? nil : "localhost"
        let stream = FuzzedStream()
        let tls = try! TLSConnection(stream, context, serverName: name)
        do throws(TLSError) {
            if choice & 2 == 0 {
                stream.input = fuzzed
                try tls.handshake(until: .never)
                preconditionFailure("a handshake with bytes that have no key")
            }
            try FuzzedTLS.shakeHands(tls, over: stream, isServer: choice & 1 == 0)
            stream.input = fuzzed
            while try tls.receive(until: .never) != nil { preconditionFailure("bytes without their key were received") }
            preconditionFailure("an end without its key was taken for one")
        } catch {
            precondition(!"\(error)".isEmpty)
        }
        tls.close()
    }
}

/// The stream below a fuzzed connection: what it receives is in memory, and what it sends goes to the other side where there is one.
private final class FuzzedStream: ByteStream {
    var input: [UInt8] = []
    var onSend: ([UInt8]) -> Void = { _ in }
    /// Asked for more where there is no input.
    var onEmpty: () -> Void = {}

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        if input.isEmpty { onEmpty() }
        if input.isEmpty { return nil }
        let count = min(buffer.count, input.count)
        buffer.copyBytes(from: input.prefix(count))
        input.removeFirst(count)
        return count
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws { onSend(Array(bytes)) }
    func shutdownSending() throws {}
    func close() {}
}

private enum FuzzedTLS {
    static let client = try! TLSContext.client(checksServer: false, resumesSessions: false)
    /// With the certificate in the file that the environment names, of which Scripts/fuzz.sh makes one.
    static let server: TLSContext = {
        let path = getenv("FUZZ_CERTIFICATE").map { String(cString: $0) } ?? ""
        return try! .server(certificate: .file(path), key: .file(path))
    }()

    /// The other side, each step of which runs when this side wants more.
    static func shakeHands(_ tls: TLSConnection, over stream: FuzzedStream, isServer: Bool) throws(TLSError) {
        let other = FuzzedStream()
        let peer = try TLSConnection(other, isServer ? client : server, serverName: isServer ? "localhost" : nil)
        let onHub = spawn {
            other.onEmpty = { while other.input.isEmpty, (try? Greenlet.yield()) != nil {} }
            try peer.handshake()
        }
        stream.onSend = { other.input += $0 }
        other.onSend = { stream.input += $0 }
        stream.onEmpty = { while stream.input.isEmpty, (try? Greenlet.yield()) != nil {} }
        try tls.handshake(until: .never)
        _ = try? onHub.value()
        stream.onEmpty = {}
        stream.onSend = { _ in }
    }
}
