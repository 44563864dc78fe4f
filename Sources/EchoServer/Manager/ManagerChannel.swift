import Glibc
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

    enum Outcome {
        case taken
        /// The manager is behind with its reading: nothing was sent.
        case busy
        case gone
    }

    /// Sends one datagram.  Never waits.
    @discardableResult
    func send(_ notifications: [Notification]) -> Outcome {
        var text = Notification.datagram(notifications)
        return text.withUTF8 { bytes in
            do throws(SystemError) {
                try socket.send(UnsafeRawBufferPointer(bytes), to: manager)
                return .taken
            } catch {
                return error.code == EAGAIN || error.code == ENOBUFS ? .busy : .gone
            }
        }
    }
}
