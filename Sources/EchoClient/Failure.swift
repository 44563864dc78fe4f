import GreenNet

/// What went wrong, in words for the caller of the program.
enum Failure: Error, Equatable {
    /// `addresses`: what became of those that were tried, where a name has several.
    case notConnected(String, after: Duration, addresses: String? = nil)
    /// The service has accepted the connection, and the TLS handshake has taken longer.
    case noHandshake(SocketAddress, after: Duration)
    /// No byte came for that time, and answers are missing.
    case noAnswer(SocketAddress, received: Int, sent: Int, after: Duration)
    /// The service answered everything, and did not end the stream.
    case notEnded(SocketAddress, received: Int, after: Duration)
    /// The connection was ended with answers missing; by force, where there is an error number.
    case missing(SocketAddress, received: Int, sent: Int, SystemError?)
    case surplus(SocketAddress, received: Int, sent: Int)
    /// Everything sent was answered, but there may be more to send.
    case endedBeforeInput(SocketAddress)
    case wrongAnswer(SocketAddress)
    case input(SystemError)
    case output(SystemError)
    case notStarted(String, SystemError)
    case noPipe(SystemError)
    case loadProcessEnded
    /// Its id.
    case loadProcessSilent(Int32)
    case taskFailed
    case noProcessFiles
    case notWritten(String, SystemError)
    case notListening(String, String)
}

extension Failure: CustomStringConvertible {
    var description: String {
        switch self {
        case .notConnected(let place, let limit, let addresses):
            "\(place): no connection within \(limit.text)" + (addresses.map { ": \($0)" } ?? "")
        case .noHandshake(let peer, let limit): "\(peer): no TLS handshake within \(limit.text)"
        case .noAnswer(let peer, received: 0, _, let limit): "\(peer) did not answer within \(limit.text)"
        case .noAnswer(let peer, let received, let sent, let limit):
            "\(peer) answered \(received) of \(sent) bytes, and no more within \(limit.text)"
        case .notEnded(let peer, let received, let limit):
            "\(peer) answered all \(received) bytes, but did not end the stream within \(limit.text)"
        case .missing(let peer, let received, let sent, let errno):
            "\(peer) ended the stream after \(received) of \(sent) bytes" + (errno.map { ": \($0)" } ?? "")
        case .surplus(let peer, let received, let sent): "\(peer) returned \(received) bytes for \(sent)"
        case .endedBeforeInput(let peer): "\(peer) ended the stream before the end of the input"
        case .wrongAnswer(let peer): "\(peer) returned other bytes than it was sent"
        case .input(let errno): "cannot read standard input: \(errno)"
        case .output(let errno): "cannot write to standard output: \(errno)"
        case .notStarted(let program, let errno): "cannot start \(program): \(errno)"
        case .noPipe(let errno): "cannot make a pipe: \(errno)"
        case .loadProcessEnded: "a process of the load exited early"
        case .loadProcessSilent(let pid): "process \(pid) of the load does not answer"
        case .noProcessFiles:
            "cannot read /proc, which has the processor time and the memory of processes: it is not mounted"
        case .taskFailed: "a task of the workload failed"
        case .notWritten(let path, let errno): "cannot write \(path): \(errno)"
        case .notListening(let name, let why): "\(name) did not start to listen: \(why)"
        }
    }
}
