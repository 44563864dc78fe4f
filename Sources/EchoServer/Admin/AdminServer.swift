import GreenNet

/// `--admin`: tells over HTTP how the service stands.  Served by green threads on the hub of the process that was started.
///
/// Nothing that a client does there can hold the service up: a request has a length and a time, an answer has a time, and there are so
/// many connections and no more.
final class AdminServer {
    private let server: StreamServer
    let address: SocketAddress

    static let mostConnections = 16
    /// For the whole request, and again for the answer.
    private static let patience = Duration.seconds(5)
    /// What a client may send behind its request before it is cut off.
    private static let mostIgnored = 64 << 10

    init(_ socket: ListeningSocket, _ pages: AdminPages) {
        address = socket.address
        server = StreamServer(
            Listener(socket), limit: AdminServer.mostConnections, overflow: .reject,
            handler: { try AdminServer.serve($0, pages) })
    }

    func start() { server.start() }

    /// Stops listening.  Never waits.
    func close() { server.stopAccepting() }

    private static func serve(_ connection: Connection, _ pages: AdminPages) throws {
        var response: HTTPResponse
        var wantsHeadOnly = false
        do throws(HTTPFailure) {
            guard let head = try receiveHead(connection) else { return }
            let request = try HTTPRequest(head: head)
            wantsHeadOnly = request.wantsHeadOnly
            response = try pages.response(to: request.path)
        } catch {
            response = HTTPResponse(error)
        }
        try connection.sendAll(response.bytes(headOnly: wantsHeadOnly), until: .after(patience))
        try letGo(connection)
    }

    /// Nil where the client goes without having asked for anything.
    private static func receiveHead(_ connection: Connection) throws(HTTPFailure) -> [UInt8]? {
        var head: [UInt8] = []
        let deadline = Deadline.after(patience)
        while true {
            let bytes: UnsafeMutableRawBufferPointer?
            do throws(NetError) {
                bytes = try connection.receive(until: deadline)
            } catch {
                throw error.waitError == .deadlinePassed ? .timeout : .badRequest
            }
            guard let bytes else {
                if head.isEmpty { return nil }
                throw .badRequest
            }
            let searched = max(0, head.count - 2)
            head += bytes.prefix(HTTPRequest.longest - head.count)
            if let end = endOfHead(in: head, from: searched) { return Array(head[..<end]) }
            if head.count == HTTPRequest.longest { throw .headTooLong }
        }
    }

    /// Where the empty line begins.
    private static func endOfHead(in bytes: [UInt8], from start: Int) -> Int? {
        let lineFeed = UInt8(ascii: "\n")
        return bytes.indices[start...].first { index in
            guard bytes[index] == lineFeed else { return false }
            let rest = bytes[(index + 1)...].prefix(2)
            return rest.first == lineFeed || rest.elementsEqual([UInt8(ascii: "\r"), lineFeed])
        }.map { $0 + 1 }
    }

    /// A close with unread bytes would reset the connection, and take the answer with it.
    private static func letGo(_ connection: Connection) throws {
        try connection.shutdownSending()
        var ignored = 0
        let deadline = Deadline.after(.milliseconds(500))
        while ignored < mostIgnored, let bytes = try connection.receive(until: deadline) { ignored += bytes.count }
    }
}
