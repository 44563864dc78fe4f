import Glibc
import GreenNet
import Synchronization

/// Sends entries to systemd's journal.  Never waits.
final class JournalSocket: Sendable {
    static let path = "/run/systemd/journal/socket"

    private let address: SocketAddress
    /// The socket's number, in the process that has opened it.  In a forked child another file may have the number, such as a client's connection.
    private let socket = PerProcess()

    enum Outcome {
        case sent
        /// The journal is slow: nothing was sent.
        case busy
        case gone
    }

    init(path: String = JournalSocket.path) {
        address = .unix(path: path)
        // Now: later there may be no descriptor left.
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
        // Another OS thread has opened one meanwhile.
        new.close()
        return open()
    }
}
