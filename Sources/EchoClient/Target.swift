import ArgumentParser
import GreenNet
import GreenTLS
import ProgramKit

/// Where to connect, and how long that may take: options of every subcommand.
struct Target: ParsableArguments {
    @Argument(
        help: "Name or address of the service; host:port and the path of a unix socket do too (default: 127.0.0.1).")
    var host: String?

    @Argument(help: "Its port (default: 8080).")
    var port: String?

    @Option(help: ArgumentHelp("Connect to a unix socket instead; @NAME is an abstract one.", valueName: "path"))
    var unixSocket: String?

    @Option(
        help: ArgumentHelp(
            "Send a header of the PROXY protocol first, as a proxy does: v1 or v2 (default: none).",
            valueName: "version"))
    var sendProxy: ProxyHeader.Version?

    @OptionGroup var security: TLSOptions

    /// Throws `ValidationError`, which says what is wrong.
    private func parsed() throws -> Endpoint {
        do {
            if let unixSocket {
                if host != nil { throw ValidationError("A host and --unix-socket exclude each other.") }
                return .unix(path: try Endpoint.unixPath(parsing: unixSocket))
            }
            let host = host ?? "127.0.0.1"
            guard let port = try NumericOptions.Client.port.number(ifIn: port) else {
                return try checked(Endpoint(parsing: host, defaultPort: 8080))
            }
            return .host(try Endpoint.host(parsing: host), port: UInt16(port))
        } catch let error as AddressError {
            throw ValidationError("\(error)")
        }
    }

    /// No service listens at port 0.
    private func checked(_ endpoint: Endpoint) throws -> Endpoint {
        if case .host(_, let port) = endpoint { _ = try NumericOptions.Client.port.number(ifIn: "\(port)") }
        return endpoint
    }

    /// Valid when the arguments are.
    var place: Endpoint { try! parsed() }

    func validate() throws { _ = try security.client(for: parsed()) }

    /// Nil without TLS.  Valid when the arguments are.
    var tls: TLSClient? { try! security.client(for: place) }

    /// As `connect(within:)`, with TLS where the options ask for it: the handshake is within the limit.
    func open(within limit: Duration?) throws -> ServiceStream {
        let deadline = limit.map { Deadline.after($0) } ?? .never
        guard let tls else { return .plain(try connect(within: limit)) }
        tls.warn()
        // Before the service waits for the handshake.
        let context = try tls.context()
        let connection = try connect(within: limit)
        do {
            return .tls(try tls.secure(connection, context, until: deadline))
        } catch let error as TLSError where error.waitError == .deadlinePassed {
            throw Failure.noHandshake(connection.peer, after: limit!)
        }
    }

    /// Waits for the connection, for `limit` at most.  Throws `Failure` when that has passed, or what the resolver or the kernel said.
    func connect(within limit: Duration?) throws -> Connection {
        // Else the first call that waits would stop the program where no descriptor is left for the loop.
        try Hub.prepare(stacks: 0)
        let deadline = limit.map { Deadline.after($0) } ?? .never
        do {
            let connection: Connection =
                switch place {
                case .host(let name, let port): try .connect(toHost: name, port: port, until: deadline)
                case .unix(let path): try .connect(to: .unix(path: path), until: deadline)
                }
            if let sendProxy { try ProxyHeader.send(sendProxy, on: connection, until: deadline) }
            return connection
        } catch let error as NetError where error.waitError == .deadlinePassed {
            throw Failure.notConnected("\(place)", after: limit!, addresses: error.reasons)
        } catch WaitError.deadlinePassed {
            // The name could not be looked up in time.
            throw Failure.notConnected("\(place)", after: limit!)
        }
    }
}
