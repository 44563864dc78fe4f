import Glibc

/// How a connection gets a context of its own: a green thread, an OS thread, a process.
///
/// All else about serving (accepting, limits, draining, counting) is the same for every model, and is `StreamServer`'s.  Each connection that
/// was started is reported to `StreamServer.connectionEnded` once, on the server's hub.
package protocol ConnectionModel: AnyObject {
    /// Whether the sockets shall block: outside green threads they do, and waiting is the kernel's.
    var socketsBlock: Bool { get }
    /// What a context is had from, for the log where it can't be.
    var contextCall: NetError.Call { get }
    /// Gives `socket` its context, and tells the server with `connectionStarted`.  Throws where the system has none left; the socket is
    /// closed then.
    func start(_ socket: consuming Accepted, for server: StreamServer) throws
    /// Tells every connection that the server is being drained: one that is idle may end now.
    func beginDraining()
    /// Lets every connection answer what it has received, and end.
    func finishReceiving()
    /// Ends every connection, as soon as it notices.
    func cancel()
}

extension ConnectionModel {
    /// A blocking socket has no idle waits that could be ended alone.
    package func beginDraining() {}
}
