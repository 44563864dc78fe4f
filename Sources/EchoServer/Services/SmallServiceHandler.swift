import GreenNet
import GreenTLS

/// Serves one connection with a service other than echo.
struct SmallServiceHandler: Sendable {
    let service: SmallService
    /// How many bytes `chargen` sends.
    let limit: Int
    let idleTimeout: Duration?
    let writeTimeout: Duration?
    let counters: CounterRow

    init(_ settings: Settings, _ counters: CounterRow) {
        (service, limit) = (settings.services.service, settings.services.chargenLimit)
        (idleTimeout, writeTimeout) = (settings.idleTimeout, settings.writeTimeout)
        self.counters = counters
    }

    func serve(_ stream: some PeerStream) throws {
        switch service {
        case .echo: require(false, "the echo service has a handler of its own")
        case .discard: try discard(from: stream)
        case .chargen: try generate(to: stream)
        case .daytime, .time: try send(service.answer()!, to: stream)
        }
        if service != .discard { finish(stream) }
    }

    private func discard(from stream: some PeerStream) throws {
        while let bytes = try stream.receiveView(until: .after(idleTimeout)) {
            counters.add(to: .reads)
            counters.add(bytes.count, to: .bytesIn)
        }
    }

    private func generate(to stream: some PeerStream) throws {
        var sent = 0
        while sent < limit {
            let count = min(CharacterGenerator.lines.count, limit - sent)
            try send(CharacterGenerator.lines[..<count], to: stream)
            sent += count
        }
    }

    private func send(_ bytes: some Sequence<UInt8>, to stream: some PeerStream) throws {
        let bytes = Array(bytes)
        try bytes.withUnsafeBytes { bytes in
            if let writeTimeout {
                try stream.sendAll(bytes, stall: writeTimeout)
            } else {
                try stream.sendAll(bytes, until: .never)
            }
        }
        counters.add(bytes.count, to: .bytesOut)
    }

    /// What the client has sent is dropped for a moment: a close with unread bytes would reset the connection, and take answers with it.
    private func finish(_ stream: some PeerStream) {
        guard (try? stream.shutdownSending()) != nil else { return }
        let end = Deadline.after(StreamServer.grace / 2)
        while !end.hasPassed, let bytes = try? stream.receiveView(until: end) {
            counters.add(bytes.count, to: .bytesIn)
        }
    }
}
