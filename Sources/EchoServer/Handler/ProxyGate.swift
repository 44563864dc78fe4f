import GreenNet
import ProgramKit

/// Reads the header of the PROXY protocol in front of a connection.
struct ProxyGate {
    let settings: ProxySettings
    /// For the whole header; nil for ever.
    let timeout: Duration?
    let counters: CounterRow

    /// What a connection has said before its first own byte.
    struct Arrival {
        /// Nil where there was none, or none is looked for.
        var header: ProxyHeader?
        /// Bytes of the client that were received in search of a header.
        var received: [UInt8] = []
        /// What another header in front of the client's bytes would mean; nil where they may begin as they like.
        var nextHeader: ProxyHeaderError?
    }

    /// Waits for the header, and reads not a byte from behind it.  Nil where the stream has ended before its first byte, and a header is required.
    ///
    /// Throws `ClientFailure` for a header that is refused, and what `receive` throws.
    func open(_ connection: Connection) throws -> Arrival? {
        guard settings.trusted.contains(connection.peer) else { return try openUntrusted(connection) }
        do {
            return try read(connection)
        } catch let error as ProxyHeaderError {
            throw refusal(error, connection)
        }
    }

    /// One that claims to be a proxy is closed as soon as it does.
    private func openUntrusted(_ connection: Connection) throws -> Arrival {
        let error = ProxyHeaderError(.untrusted, "the sender is none of the trusted proxies")
        guard settings.mode == .optional else { throw refusal(error, connection) }
        return Arrival(nextHeader: error)
    }

    func refusal(_ error: ProxyHeaderError, _ connection: Connection) -> ClientFailure {
        counters.add(to: Counter(error.reason))
        return ClientFailure(error, peer: connection.peer)
    }

    // MARK: - Reading

    private func read(_ connection: Connection) throws -> Arrival? {
        let deadline = Deadline.after(timeout)
        var parser = ProxyHeaderParser()
        var step = try parser.step()
        while case .needs(let count) = step {
            switch try receive(count, from: connection, until: deadline) {
            case .bytes(let bytes): step = try parser.add(bytes)
            case .end where parser.bytes.isEmpty && settings.mode == .required: return nil
            case .end where mayGoWithout(parser), .late where mayGoWithout(parser):
                return Arrival(received: parser.bytes)
            case .end: throw ProxyHeaderError(.cut, "the stream ended after \(parser.bytes.count) bytes of a header")
            case .late: throw late(parser)
            }
        }
        if case .done(let header) = step { return found(header) }
        if settings.mode == .optional { return Arrival(received: parser.bytes) }
        throw ProxyHeaderError(
            .absent, "the stream begins with '\(String(showing: parser.bytes.prefix(6)).escaped)'")
    }

    private enum Receipt {
        case bytes([UInt8])
        case end, late
    }

    private func receive(_ count: Int, from connection: Connection, until deadline: Deadline) throws -> Receipt {
        do throws(NetError) {
            return try connection.receive(upTo: count, until: deadline).map { .bytes($0) } ?? .end
        } catch {
            if error.waitError == .deadlinePassed { return .late }
            throw error
        }
    }

    /// Whether what has come may be a client's that has no proxy.
    private func mayGoWithout(_ parser: ProxyHeaderParser) -> Bool { settings.mode == .optional && parser.mayBeData }

    private func late(_ parser: ProxyHeaderParser) -> ProxyHeaderError {
        ProxyHeaderError(
            .late, "\(parser.bytes.count) bytes of a header within \((timeout ?? .zero).optionText) seconds")
    }

    private func found(_ header: ProxyHeader) -> Arrival {
        counters.add(to: .proxyHeaders)
        return Arrival(header: header, nextHeader: ProxyHeaderError(.doubled, "a second header follows the first"))
    }
}
