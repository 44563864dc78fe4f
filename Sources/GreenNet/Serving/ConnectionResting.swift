extension Connection {
    /// Runs `body`, in which the connection may rest: while its client sends nothing, it needs no green thread and no stack.  For the last call of the handler of a
    /// server with many idle clients.
    ///
    ///     let server = try StreamServer(on: .loopback(port: 8080)) { connection in
    ///         try connection.sendAll("220 welcome\r\n")
    ///         try connection.restingWhenIdle(for: .seconds(5)) {
    ///             while let bytes = try connection.receive() { try connection.sendAll(bytes) }
    ///         }
    ///     }
    ///
    /// When a call of `body` has waited for `duration`, or some time longer (a quarter of it, or a quarter of a second), to receive from this connection, it throws a `NetError` with
    /// `WaitError.resting`.  `body` and the handler let it through, and the green thread ends; the connection stays open.  Once the client sends something or
    /// ends its side, `body` runs again from its beginning, on a new green thread, and when it returns, the connection is closed.  So:
    ///
    /// - What is to be known after a wait is kept in an object that `body` captures, and not in its own variables: a half of a message, say.
    /// - What `body` has begun around the wait is over, as after any other error: a `withGreenGroup`, a `withLock`, a file that is open in a variable.  The
    ///   handler's lines behind this call do not run.
    /// - The deadline of the receive holds on.  Where it passes, the connection ends as if the handler had thrown that error.
    /// - `GreenLocal`s, task-locals and `Greenlet.current` are new ones.
    ///
    /// Nothing rests inside `withTimeout` or `shielded`, while another green thread waits for the end of this one, or in a wait for anything else.  On an OS
    /// thread that has no hub, and for a connection that no server serves on a green thread, `body` runs once, and never rests.
    ///
    /// Throws what `body` throws.  Stops the program where `duration` is not positive.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func restingWhenIdle(for duration: Duration, _ body: @escaping () throws -> Void) throws {
        guard let served = Context.running?.servedConnection, served.connection === self else {
            require(duration > .zero, "restingWhenIdle(for: \(duration)): the duration is more than 0")
            return try body()
        }
        try served.runResting(for: duration, body)
    }

    /// As `restingWhenIdle(for:)`, and calls `atEnd` once the connection has ended and was closed, also where it ends while it rests; `atEnd` must not wait.  On an OS
    /// thread that has no hub, it calls `atEnd` after `body`, before the connection is closed.
    package func restingWhenIdle(
        for duration: Duration, atEnd: @escaping (ConnectionEnd) -> Void, _ body: @escaping () throws -> Void
    ) throws {
        if let served = Context.running?.servedConnection, served.connection === self {
            return try served.runResting(for: duration, atEnd: atEnd, body)
        }
        do { try body() } catch {
            atEnd(ConnectionEnd(error))
            throw error
        }
        atEnd(.done)
    }
}

extension GreenThread {
    fileprivate var servedConnection: ServedConnection? { greenlet as? ServedConnection }
}
