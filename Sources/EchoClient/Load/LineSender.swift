import GreenNet

/// Sends what is due on one connection from a green thread of its own, while another one receives: a service that nobody takes answers
/// from stops reading.
final class LineSender {
    private var sender: Greenlet<Void>?
    private let moreIsDue = GreenEvent()
    /// In bytes.
    private var due = 0

    init(_ hub: LoadHub, _ line: LinePointer, _ connection: Connection) {
        sender = spawn(name: "sender of connection \(line.pointee.number)") { [self] in
            while true {
                let count = due
                due = 0
                if count > 0 {
                    try hub.send(count, line, connection)
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
        if let sender { LineSender.stop(sender) }
        sender = nil
    }

    /// What went wrong with sending is seen by whoever receives.
    static func stop(_ sender: Greenlet<Void>) {
        sender.kill()
        _ = try? shielded { try sender.value() }
    }
}
