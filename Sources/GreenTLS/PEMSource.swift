import Glibc
import GreenNet

/// Where certificates or a key are had from, in PEM.
public enum PEMSource: Sendable, Equatable {
    /// The file of that path: a regular file of 1 byte to 4 MiB.
    case file(String)
    /// The text itself.
    case pem(String)

    /// How errors name it.
    var name: String {
        switch self {
        case .file(let path): path.escaped
        case .pem: "the PEM text"
        }
    }

    static let largestFile = 4 << 20

    func read(_ purpose: TLSContextError.Purpose) throws(TLSContextError) -> [UInt8] {
        switch self {
        case .pem(let text): return Array(text.utf8)
        case .file(let path):
            do throws(SystemError) { return try PEMSource.read(path) } catch {
                throw .unreadable(purpose, path, error)
            }
        }
    }

    /// A file that is no regular one is not read: a FIFO would block the hub.
    private static func read(_ path: String) throws(SystemError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        if descriptor < 0 { throw SystemError(errno) }
        defer { close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) < 0 { throw SystemError(errno) }
        if status.st_mode & S_IFMT == S_IFDIR { throw SystemError(EISDIR) }
        if status.st_mode & S_IFMT != S_IFREG { throw SystemError(EINVAL) }
        if status.st_size > largestFile { throw SystemError(EFBIG) }
        return try readAll(descriptor)
    }

    private static func readAll(_ descriptor: Int32) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= largestFile {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno != EINTR { throw SystemError(errno) }
            if count == 0 { return bytes }
            bytes += piece.prefix(max(0, count))
        }
        throw SystemError(EFBIG)
    }
}

/// Which authorities a client believes.
public enum TLSRoots: Sendable, Equatable {
    /// Those of the system: /etc/ssl/certs, which Debian's package ca-certificates fills; the variables SSL_CERT_FILE and SSL_CERT_DIR name others.
    case system
    /// The certificates in the file of that path.
    case file(String)
    /// The certificates in the text itself.
    case pem(String)

    var source: PEMSource? {
        switch self {
        case .system: nil
        case .file(let path): .file(path)
        case .pem(let text): .pem(text)
        }
    }
}
