import GreenNet

/// Why a `TLSContext` can't be made, or keeps the certificate that it has.
public enum TLSContextError: Error, Sendable, Equatable {
    /// What a source was read for.
    public enum Purpose: String, Sendable {
        /// The certificate of this side, and those that it rests on.
        case certificate
        /// The certificate's private key.
        case key
        /// The roots that a client believes.
        case roots
        /// The authorities whose certificates a server accepts from clients.
        case clientAuthorities = "client authorities"
    }

    /// OpenSSL is not installed, or is another version, as the text says.
    case noLibrary(String)
    /// The file can't be read.
    case unreadable(Purpose, String, SystemError)
    /// The source has not what it is for, or OpenSSL does not accept it, for the reason in OpenSSL's words.
    case invalid(Purpose, in: String, reason: String)
    /// The key is encrypted.  Only keys without a passphrase are read.
    case encryptedKey(String)
    /// The key is not that of the certificate.
    case keyDoesNotFit(key: String, certificate: String)
    /// An application protocol's name is 1 to 255 bytes long, and all names together 65,535 at most; this one, or their sum, is not.
    case badProtocol(String)
    /// OpenSSL has failed otherwise, for want of memory say.
    case failed(String)
}

extension TLSContextError: CustomStringConvertible {
    /// As in `cannot read the key /etc/echo.key: permission denied (EACCES)`.
    public var description: String {
        switch self {
        case .noLibrary(let reason): "cannot load OpenSSL 3: \(reason); install libssl3"
        case .unreadable(let purpose, let path, let error):
            "cannot read the \(purpose.rawValue) \(path.escaped): \(error)"
        case .invalid(let purpose, let source, let reason): "cannot use the \(purpose.rawValue) in \(source): \(reason)"
        case .encryptedKey(let source):
            "cannot use the key in \(source): it is encrypted, and a key without a passphrase is expected"
        case .keyDoesNotFit(let key, let certificate):
            "the key in \(key) does not fit the certificate in \(certificate)"
        case .badProtocol(let name):
            "the application protocol '\(name.escaped)' is not 1 to 255 bytes long, or all of them more than 65,535"
        case .failed(let reason): "cannot make a TLS context: \(reason)"
        }
    }
}
