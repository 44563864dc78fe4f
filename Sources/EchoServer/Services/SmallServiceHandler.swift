import GreenNet
import GreenTLS

/// Serves one connection with a service other than echo.
struct SmallServiceHandler: Sendable {
    let service: SmallService
    /// How many bytes `chargen` sends.
    let limit: Int
    /// Receives and sends, with its time limits and counters.
    let handler: EchoHandler

    init(_ settings: Settings, _ handler: EchoHandler) {
        (service, limit) = (settings.services.service, settings.services.chargenLimit)
        self.handler = handler
    }

    func serve(_ stream: some PeerStream) throws {
        switch service {
        case .echo: require(false, "the echo service has a handler of its own")
        case .discard: try DiscardHandler(handler: handler).serve(stream)
        case .chargen: try generate(to: stream)
        case .daytime, .time: try handler.send(Array(service.answer()!), on: stream)
        }
        if service != .discard { finish(stream) }
    }

    private func generate(to stream: some PeerStream) throws {
        var sent = 0
        while sent < limit {
            let count = min(CharacterGenerator.lines.count, limit - sent)
            try handler.send(Array(CharacterGenerator.lines[..<count]), on: stream)
            sent += count
        }
    }

    /// What the client has sent is dropped for a moment: a close with unread bytes would reset the connection, and take answers with it.
    private func finish(_ stream: some PeerStream) {
        guard (try? stream.shutdownSending()) != nil else { return }
        let end = Deadline.after(StreamServer.grace / 2)
        while !end.hasPassed, let bytes = try? stream.receiveView(until: end) {
            handler.counters.add(bytes.count, to: .bytesIn)
        }
    }
}
