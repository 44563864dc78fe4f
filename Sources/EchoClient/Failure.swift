import GreenNet

/// What went wrong, in words for whoever called the program.
enum Failure: Error, Equatable {
    case notConnected(String, after: Duration)
    case noAnswer(SocketAddress, after: Duration)
    /// The connection was ended with answers missing; by force, where there is an error number.
    case missing(SocketAddress, received: Int, sent: Int, Errno?)
    case surplus(SocketAddress, received: Int, sent: Int)
    /// Everything sent was answered, but there may be more to send.
    case endedBeforeInput(SocketAddress)
    case wrongAnswer(SocketAddress)
    case input(Errno)
    case output(Errno)
    case notStarted(String, Errno)
    case noPipe
    case loadProcessEnded
    case taskFailed
    case notWritten(String)
    case notListening(String, String)
}

extension Failure: CustomStringConvertible {
    var description: String {
        switch self {
        case .notConnected(let place, let limit): "\(place): no connection within \(limit)"
        case .noAnswer(let peer, let limit): "\(peer) did not answer within \(limit)"
        case .missing(let peer, let received, let sent, let errno):
            "\(peer) ended the stream after \(received) of \(sent) bytes" + (errno.map { ": \($0)" } ?? "")
        case .surplus(let peer, let received, let sent): "\(peer) answered \(sent) bytes with \(received)"
        case .endedBeforeInput(let peer): "\(peer) ended the stream before the end of the input"
        case .wrongAnswer(let peer): "\(peer) answered with something else than it was sent"
        case .input(let errno): "standard input: \(errno)"
        case .output(let errno): "standard output: \(errno)"
        case .notStarted(let program, let errno): "\(program) can't be started: \(errno)"
        case .noPipe: "no descriptor is left for a pipe"
        case .loadProcessEnded: "a process of the load has ended before its time"
        case .taskFailed: "a task of the workload has failed"
        case .notWritten(let path): "\(path) can't be written"
        case .notListening(let name, let why): "\(name) does not begin to listen: \(why)"
        }
    }
}
