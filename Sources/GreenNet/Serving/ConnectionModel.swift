import Glibc

/// How a connection gets a context of its own: a green thread, an OS thread, a process.
///
/// All else about serving (accepting, limits, draining, counting) is the same for every model, and is `StreamServer`'s.  A model reports each connection that
/// it has started to `StreamServer.connectionEnded`, once, on the server's hub.
package protocol ConnectionModel: AnyObject {
    /// Whether the sockets shall block: outside green threads they do, and waiting is the kernel's.
    var socketsBlock: Bool { get }
    /// The call that makes a context, for the log where it fails.
    var contextCall: NetError.Call { get }
    /// Gives `client` its context, and calls the server's `connectionStarted`.  Throws where the system has no context left; the socket is
    /// closed then.
    func start(_ client: consuming PendingConnection, for server: StreamServer) throws
    /// How many connections the accept loop accepts before it calls `lend` again, at most.
    var acceptsAtOnce: Int { get }
    /// Where the contexts of the model accept by themselves: lets them accept from `listener`, and returns when they leave the next client to the accept loop of
    /// `server`.  Throws what an accept of theirs has met, as if it were the loop's own.  Returns at once where they do not accept.
    func lend(_ listener: Listener, by server: StreamServer) throws(NetError)
    /// Ends that: when it returns, they accept nothing from `listener`.
    func takeBack(_ listener: Listener)
    /// Open connections that the contexts have accepted by themselves.  They take and give back places by themselves; the model calls the server's
    /// `ownConnectionEnded` where one ends while the server waits for that.
    var ownConnections: Int { get }
    /// Marks every connection as being drained: an idle connection may end now.
    func beginDraining()
    /// Lets every connection answer what it has received, and end.
    func finishReceiving()
    /// Ends every connection, at its next wait.
    func cancel()
    /// Ends what the contexts run on, and waits for that: the server accepts no more connections, and the last one has ended.  It may be called again.
    func serverEnded() throws(WaitError)
}

extension ConnectionModel {
    package var acceptsAtOnce: Int { .max }
    package func lend(_ listener: Listener, by server: StreamServer) throws(NetError) {}
    package func takeBack(_ listener: Listener) {}
    package var ownConnections: Int { 0 }

    /// Nothing, for a blocking socket: no idle wait of it could be ended alone.
    package func beginDraining() {}

    /// Nothing: each context ends with its connection.
    package func serverEnded() throws(WaitError) {}
}
