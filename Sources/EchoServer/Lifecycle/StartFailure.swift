import Glibc
import GreenNet
import ProgramKit

/// Why the server did not start.
struct StartFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    let message: String

    var description: String { message }

    init(_ status: ExitStatus, _ message: String) { (self.status, self.message) = (status, message) }

    /// From the attempt to listen on `address`.
    init(_ error: NetError) {
        let status: ExitStatus =
            switch error.errno?.code {
            // Each may change in a moment: the machine may get an address or an interface later.
            case EADDRINUSE, EADDRNOTAVAIL, ENODEV: .unavailable
            case EACCES, EPERM: .permission
            case ENAMETOOLONG, ENOENT, ENOTDIR, EAFNOSUPPORT, EISDIR, ENOTSOCK, EROFS, ELOOP: .configuration
            // An address that no socket can have, or an account that this user namespace does not have.
            case EINVAL where [.bind, .chown].contains(error.call): .configuration
            default: .system
            }
        self.init(status, "\(error)")
    }
}

/// Writes a line to standard output.  Throws where that takes less than all of it: the caller was asked for the line.
func writeOutput(_ text: String) throws {
    var line = text + "\n"
    do {
        let output = BorrowedDescriptor.standardOutput
        try line.withUTF8 { bytes in try output.writeAll(UnsafeRawBufferPointer(bytes)) }
        try output.checkWritten()
    } catch {
        throw StartFailure(
            .system, "cannot write to standard output: \((error as? NetError)?.errno.map { "\($0)" } ?? "\(error)")")
    }
}

/// Writes a line to standard error, before there is a log.  Escaped: what it quotes may come from anywhere.
func writeLine(_ text: String) {
    var line = text.escaped + "\n"
    line.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}
