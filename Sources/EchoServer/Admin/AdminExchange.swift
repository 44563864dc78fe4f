import GreenNet

/// One connection of the admin interface: a request, its answer, and a close that lets the client read it.
///
/// The request has a length and a time, and so has the answer.
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
        /// The client has been sent all of it, and is to close.
        case answered
    }

    /// For the whole request, and again for the answer.
    private static let patience = Duration.seconds(5)
    /// A client that has not taken all of its answer for so long can't expect that others wait for it.
    private static let stall = Duration.seconds(1)
    /// What a client may send behind its request before it is cut off, and for how long.
    private static let mostIgnored = 1 << 20
    private static let longestIgnored = Duration.milliseconds(500)

    init(_ connection: Connection, _ pages: AdminPages) { (self.connection, self.pages) = (connection, pages) }

    var peer: SocketAddress { connection.peer }

    // MARK: Giving way

    /// The lower, the sooner it gives way to a client who comes when all seats are taken.  Nil: not at all, for there is a request, and it is
    /// being answered.
    var order: Int? {
        switch stage {
        case .receiving: 0
        case .answered: 1
        case .sending(let since): .now - since > AdminExchange.stall ? 2 : nil
        case .answering: nil
        }
    }

    /// It has been asked to give way, and does so when it has its turn: it waits for nothing any more.
    var isLeaving: Bool {
        switch stage {
        case .receiving, .answered: wasAskedToLeave
        case .answering, .sending: false
        }
    }

    /// Ends it soon.  A request that has come by now is answered yet, one that has not gets a 408.
    func giveWay() {
        wasAskedToLeave = true
        if case .sending = stage { connection.close() } else { connection.finishReceiving() }
    }

    // MARK: Serving

    /// Returns when it is over and the connection closed.  A client that is gone, or too slow, is no error.
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
        try letGo()
    }

    /// Nil where the client goes without having asked for anything.
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

    /// A close with unread bytes would reset the connection, and take the answer with it.
    private func letGo() throws {
        try connection.shutdownSending()
        var ignored = 0
        let deadline = Deadline.after(AdminExchange.longestIgnored)
        while ignored < AdminExchange.mostIgnored, let bytes = try connection.receiveView(until: deadline) {
            ignored += bytes.count
        }
    }
}
