import Glibc
import GreenNet
import Synchronization

/// The way to systemd's journal.  Never waits.
final class JournalSocket: Sendable {
    static let path = "/run/systemd/journal/socket"

    private let address: SocketAddress
    /// The socket and who has opened it.  A forked child has the number still, but not the socket: it may belong to a client by then.
    private let socket = PerProcess()

    enum Outcome {
        case sent
        /// The journal is there, and slow.
        case busy
        case gone
    }

    init(path: String = JournalSocket.path) {
        address = .unix(path: path)
        // While there is a descriptor to be had.
        _ = open()
    }

    deinit { if let number = socket.value { DatagramSocket(descriptor: Int32(number)).close() } }

    func send(_ message: [UInt8]) -> Outcome {
        guard let socket = open() else { return .gone }
        return message.withUnsafeBytes { bytes in
            do throws(SystemError) {
                do throws(SystemError) {
                    try socket.send(bytes, to: address)
                } catch {
                    // As sd_journal_send does.
                    guard [EMSGSIZE, ENOBUFS].contains(error.code) else { throw error }
                    try socket.sendSealed(bytes, to: address)
                }
                return .sent
            } catch {
                return error.code == EAGAIN ? .busy : .gone
            }
        }
    }

    /// Nil where there is no descriptor left.
    private func open() -> DatagramSocket? {
        if let number = socket.value { return DatagramSocket(descriptor: Int32(number)) }
        guard let new = try? DatagramSocket() else { return nil }
        if socket.setIfMissing(UInt32(new.descriptor)) { return new }
        // Another OS thread was faster.
        new.close()
        return open()
    }
}
