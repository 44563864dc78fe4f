import Glibc
import GreenNet
import GreenTLS
import ProgramKit
import Synchronization

/// The TLS that all connections of the service speak: the context, and how to read its files again.
///
/// A reload in the first process reads the files there first.  Where they are good, the forked processes read them too, each before its next connection.
final class ServerTLS: Sendable {
    private let files: Files
    private let context: TLSContext
    /// How often the certificate was replaced, in memory that forked children share.
    private let generation: LiveValue<Int>
    /// The generation that this process has.  Reading files under the lock holds up the process's other OS threads for a millisecond.
    private let own = Mutex(0)

    /// The paths of the files, in PEM.
    struct Files: Equatable, Sendable {
        var certificate: String
        var key: String
        /// Nil where clients are asked for no certificates.
        var clientAuthorities: String?
    }

    /// Throws a `StartFailure` that names the file.
    init(_ files: Files) throws(StartFailure) {
        self.files = files
        generation = try LiveValue(0)
        do throws(TLSContextError) {
            context = try .server(
                certificate: .file(files.certificate), key: .file(files.key),
                clientAuthorities: files.clientAuthorities.map { .file($0) })
        } catch {
            throw StartFailure(error)
        }
    }

    /// This process's certificate as it is now.
    var certificate: TLSCertificate? { context.certificate }

    /// The context for a connection that begins now.  Where the files can't be read again, `onFailure` is told, and the old certificate stays.
    func current(onFailure: (TLSContextError) -> Void) -> TLSContext {
        let wanted = generation.value
        let failure = own.withLock { own -> TLSContextError? in
            guard own != wanted else { return nil }
            own = wanted
            return readAgain()
        }
        if let failure { onFailure(failure) }
        return context
    }

    /// Reads the files again, for this process and those that it has forked.  Throws where they are bad, and changes nothing then.  Returns whether the certificate
    /// is another one.
    func reload() throws(StartFailure) -> Bool {
        let before = certificate?.fingerprint
        if let failure = own.withLock({ _ in readAgain() }) { throw StartFailure(failure) }
        let next = generation.value + 1
        own.withLock { $0 = next }
        generation.value = next
        return certificate?.fingerprint != before
    }

    private func readAgain() -> TLSContextError? {
        do throws(TLSContextError) {
            try context.replaceCertificate(
                .file(files.certificate), key: .file(files.key),
                clientAuthorities: files.clientAuthorities.map { .file($0) })
            return nil
        } catch {
            return error
        }
    }
}

extension StartFailure {
    /// From reading the files of TLS.
    init(_ error: TLSContextError) {
        let status: ExitStatus =
            switch error {
            case .unreadable(_, _, let errno) where [EACCES, EPERM].contains(errno.code): .permission
            case .noLibrary, .failed: .system
            default: .configuration
            }
        self.init(status, "\(error)")
    }
}
