import ArgumentParser
import GreenNet
import GreenTLS

/// Whether to speak TLS, and whom to believe.
struct TLSOptions: ParsableArguments {
    @Flag(help: "Speak TLS, and check the service's certificate and name.")
    var tls = false

    @Option(
        help: ArgumentHelp(
            "Believe the authorities in this PEM file (default: those of the system).", valueName: "file"),
        completion: .file())
    var tlsCa: String?

    @Option(
        help: ArgumentHelp("The name that the certificate must be for (default: the host).", valueName: "name"))
    var tlsName: String?

    @Flag(help: "Accept any certificate: an attacker on the network can read and change everything.")
    var tlsInsecure = false

    func validate() throws {
        for (option, isGiven) in [("ca", tlsCa != nil), ("name", tlsName != nil), ("insecure", tlsInsecure)] {
            if isGiven && !tls { throw ValidationError("--tls-\(option) goes with --tls.") }
        }
        if tlsInsecure && tlsCa != nil { throw ValidationError("--tls-insecure and --tls-ca exclude each other.") }
        if let tlsName, tlsName.isEmpty { throw ValidationError("--tls-name: '' is no name.") }
    }

    /// For connections to `place`; nil without TLS.  Throws `ValidationError` where no name is known for it.
    func client(for place: Endpoint) throws -> TLSClient? {
        guard tls else { return nil }
        let host: String? = if case .host(let name, _) = place { name } else { nil }
        guard let name = tlsName ?? host ?? (tlsInsecure ? "" : nil) else {
            throw ValidationError("--tls over a unix socket needs --tls-name.")
        }
        return TLSClient(authorities: tlsCa, name: name, isInsecure: tlsInsecure)
    }
}

/// How to speak TLS with the service.
struct TLSClient: Equatable, Sendable {
    /// The path of a PEM file; nil for the system's.
    var authorities: String?
    /// Empty for none, which only goes without checks.
    var name: String
    var isInsecure: Bool

    /// Says on standard error where nothing is checked.
    func warn() {
        if isInsecure {
            StandardStreams.complain("echo-client: warning: --tls-insecure: the service's certificate is not checked")
        }
    }

    func context(resumesSessions: Bool = true) throws -> TLSContext {
        try .client(
            roots: authorities.map { .file($0) } ?? .system, checksServer: !isInsecure, resumesSessions: resumesSessions
        )
    }

    /// Closes `connection` where the handshake fails.
    func secure(_ connection: Connection, _ context: TLSContext, until deadline: Deadline) throws -> TLSConnection {
        do {
            let secured = try TLSConnection(connection, context, serverName: name.isEmpty ? nil : name)
            try secured.handshake(until: deadline)
            return secured
        } catch {
            connection.close()
            throw error
        }
    }
}
