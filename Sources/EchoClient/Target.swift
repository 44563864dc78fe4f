import ArgumentParser
import GreenNet
import ProgramKit

/// Where to connect, and how long that may take: options of every subcommand.
struct Target: ParsableArguments {
    @Argument(help: "Name or address of the service (default: 127.0.0.1).")
    var host: String?

    @Argument(help: "Its port (default: 8080).")
    var port: String?

    @Option(help: ArgumentHelp("Connect to a unix socket instead; @NAME is an abstract one.", valueName: "path"))
    var unixSocket: String?

    enum Place: Equatable {
        case host(String, port: UInt16)
        case unix(path: String)
    }

    var place: Place {
        if let unixSocket { return .unix(path: unixSocket) }
        return .host(Target.withoutBrackets(host ?? "127.0.0.1"), port: portNumber ?? 8080)
    }

    private var portNumber: UInt16? { port.flatMap { NumericOptions.Client.port.value(of: $0) }.map { UInt16($0) } }

    /// An IPv6 address may stand in brackets, as it does where a port follows it.
    private static func withoutBrackets(_ host: String) -> String {
        guard host.hasPrefix("["), host.hasSuffix("]") else { return host }
        return String(host.dropFirst().dropLast())
    }

    func validate() throws {
        _ = try NumericOptions.Client.port.number(ifIn: port)
        switch place {
        case .host(let name, _):
            if name.isEmpty { throw ValidationError("The host has no name.") }
        case .unix(let path):
            if host != nil { throw ValidationError("A host and --unix-socket exclude each other.") }
            if path.isEmpty || path.utf8.count > SocketAddress.longestUnixPath {
                throw ValidationError("The path of a unix socket has 1 to \(SocketAddress.longestUnixPath) bytes.")
            }
        }
    }

    /// Waits for the connection, for `limit` at most.  Throws `Failure` when that has passed, or what the resolver or the kernel said.
    func connect(within limit: Duration?) throws -> Connection {
        let deadline = limit.map { Deadline.after($0) } ?? .never
        do {
            return switch place {
            case .host(let name, let port): try .connect(toHost: name, port: port, until: deadline)
            case .unix(let path): try .connect(to: .unix(path: path), until: deadline)
            }
        } catch let error as NetError where error.waitError == .deadlinePassed {
            throw Failure.notConnected("\(place)", after: limit!)
        } catch WaitError.deadlinePassed {
            // The name could not be looked up in time.
            throw Failure.notConnected("\(place)", after: limit!)
        }
    }
}

extension Target.Place: CustomStringConvertible {
    var description: String {
        switch self {
        case .host(let name, let port): SocketAddress(ip: name, port: port).map { "\($0)" } ?? "\(name.escaped):\(port)"
        case .unix(let path): path.escaped
        }
    }
}
