import GreenNet
import GreenTLS

/// Sends what is due on one connection from a green thread of its own, while another green thread receives: a service whose answers are not read
/// stops reading.
final class LoadSender {
    private var sender: Greenlet<Void>?
    private let moreIsDue = GreenEvent()
    /// In bytes.
    private var due = 0

    init(_ hub: LoadHub, _ state: LoadConnection.Pointer, _ connection: some PeerStream) {
        sender = spawn(name: "sender of connection \(state.pointee.number)") { [self] in
            while true {
                let count = due
                due = 0
                if count > 0 {
                    try hub.send(count, state, connection)
                } else {
                    moreIsDue.clear()
                    try moreIsDue.wait()
                }
            }
        }
    }

    /// Never waits.
    func send(_ count: Int) {
        due += count
        moreIsDue.set()
    }

    func stop() {
        if let sender { LoadSender.stop(sender) }
        sender = nil
    }

    /// The receiver sees what went wrong with sending.
    static func stop(_ sender: Greenlet<Void>) {
        sender.kill()
        _ = try? shielded { try sender.value() }
    }
}
