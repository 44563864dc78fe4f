import Glibc
import GreenNet

/// Sends to the service manager's notification socket, which never answers.
final class ManagerChannel {
    private let socket: DatagramSocket
    private let manager: SocketAddress

    /// `name` is a path, or an abstract name that begins with `@`.  Nil for anything else, or where the process has no descriptor left.
    init?(to name: String) {
        guard name.hasPrefix("/") || name.hasPrefix("@"), let socket = try? DatagramSocket() else { return nil }
        (self.socket, manager) = (socket, .unix(path: name))
    }

    deinit { socket.close() }

    enum Outcome {
        case taken
        /// The manager's queue is full: nothing was sent.
        case busy
        case gone
    }

    /// Sends one datagram.  Never waits.
    @discardableResult
    func send(_ notifications: [Notification], passing descriptors: [Int32] = []) -> Outcome {
        var text = Notification.datagram(notifications)
        return text.withUTF8 { bytes in
            do throws(SystemError) {
                let bytes = UnsafeRawBufferPointer(bytes)
                if descriptors.isEmpty {
                    try socket.send(bytes, to: manager)
                } else {
                    try DatagramSocket.send(bytes, passing: descriptors, to: manager)
                }
                return .taken
            } catch {
                return error.code == EAGAIN || error.code == ENOBUFS ? .busy : .gone
            }
        }
    }
}
