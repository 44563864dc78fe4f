import GreenNet
import GreenTLS

/// Receives all that a client sends, and answers nothing: the discard service of RFC 863.
struct DiscardHandler {
    let handler: EchoHandler

    func serve(_ connection: some PeerStream) throws { while try handler.receive(from: connection) != nil {} }
}
