import GreenNet

/// One connection of the admin interface: a request, its answer, and a close that lets the client read it.
///
/// Request and answer have limits of length and time.
final class AdminExchange {
    private let connection: Connection
    private let pages: AdminPages
    /// When it was accepted.
    let start = Deadline.now
    private var stage = Stage.receiving
    private var wasAskedToLeave = false

    private enum Stage {
        case receiving
        case answering
        case sending(since: Deadline)
        /// All of it was sent; the client is to close.
        case answered
    }

    /// The time for the whole request, and again for the answer.
    private static let patience = Duration.seconds(5)
    /// A client that has not taken all of its answer after this time gives way to others.
    private static let stall = Duration.seconds(1)
    /// How many bytes a client may send behind its request, and for how long, before the connection closes.
    private static let mostIgnored = 1 << 20
    private static let longestIgnored = Duration.milliseconds(500)

    init(_ connection: Connection, _ pages: AdminPages) { (self.connection, self.pages) = (connection, pages) }

    var peer: SocketAddress { connection.peer }

    // MARK: Giving way

    /// Where all seats are taken, the exchange with the lowest order gives way to a new client.  Nil for an exchange that gives no way: its request is
    /// being answered.
    var order: Int? {
        switch stage {
        case .receiving: 0
        case .answered: 1
        case .sending(let since): .now - since > AdminExchange.stall ? 2 : nil
        case .answering: nil
        }
    }

    /// Whether it was asked to give way, and does so when its green thread runs next.
    var isLeaving: Bool {
        switch stage {
        case .receiving, .answered: wasAskedToLeave
        case .answering, .sending: false
        }
    }

    /// Ends the exchange soon.  A request that has been received is answered; otherwise the client gets a 408.
    func giveWay() {
        wasAskedToLeave = true
        if case .sending = stage { connection.close() } else { connection.finishReceiving() }
    }

    // MARK: Serving

    /// Returns when the connection is closed.  A client that is gone, or too slow, is no error.
    func run() {
        try? serve()
        connection.close()
    }

    private func serve() throws {
        var response: HTTPResponse
        var wantsHeadOnly = false
        do throws(HTTPFailure) {
            guard let head = try receiveHead() else { return }
            stage = .answering
            let request = try HTTPRequest(head: head)
            wantsHeadOnly = request.wantsHeadOnly
            response = try pages.response(to: request)
        } catch {
            response = HTTPResponse(error)
        }
        stage = .sending(since: .now)
        try connection.sendAll(response.bytes(headOnly: wantsHeadOnly), until: .after(AdminExchange.patience))
        stage = .answered
        connection.linger(within: AdminExchange.longestIgnored, dropping: AdminExchange.mostIgnored)
    }

    /// Nil where the client closes without a request.
    private func receiveHead() throws(HTTPFailure) -> [UInt8]? {
        var head = HTTPHead()
        let deadline = Deadline.after(AdminExchange.patience)
        while true {
            let bytes: UnsafeMutableRawBufferPointer?
            do throws(NetError) {
                bytes = try connection.receiveView(until: deadline)
            } catch {
                throw error.waitError == .deadlinePassed ? .timeout : .badRequest
            }
            guard let bytes else {
                if wasAskedToLeave { throw .timeout }
                if head.isEmpty { return nil }
                throw .badRequest
            }
            if let head = try head.add(bytes) { return head }
        }
    }
}
