import GreenNet

/// The way to the service manager's notification socket, which answers nothing.
final class ManagerChannel {
    private let socket: DatagramSocket
    private let manager: SocketAddress

    /// To a path, or to an abstract name with `@` in front.  Nil for anything else, or where the process has no descriptor left.
    init?(to name: String) {
        guard name.hasPrefix("/") || name.hasPrefix("@"), let socket = try? DatagramSocket() else { return nil }
        (self.socket, manager) = (socket, .unix(path: name))
    }

    deinit { socket.close() }

    /// Sends one datagram, and returns whether it was taken.  Where the manager is behind with its reading, `waits` blocks the OS thread
    /// for up to a second; without it, nothing is sent then.
    @discardableResult
    func send(_ notifications: [Notification], waits: Bool) -> Bool {
        var text = Notification.datagram(notifications)
        return text.withUTF8 { bytes in
            (try? socket.send(UnsafeRawBufferPointer(bytes), to: manager, waits: waits)) != nil
        }
    }
}
