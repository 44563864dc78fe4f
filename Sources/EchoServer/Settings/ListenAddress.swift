import Glibc
import GreenNet
import ProgramKit

extension Endpoint {
    /// The address to listen on.  Looks a name up, on this OS thread.
    func listenAddress() throws(StartFailure) -> SocketAddress {
        switch self {
        case .unix(let path): return .unix(path: path)
        case .host(let host, let port):
            if let interface = Endpoint.missingInterface(in: host) {
                throw StartFailure(
                    .unavailable, "cannot listen on \(self): there is no interface \(interface) (ENODEV)")
            }
            do throws(ResolveError) {
                return try Resolver.resolveHere(host, port: port)[0]
            } catch {
                throw StartFailure(error)
            }
        }
    }
}

extension StartFailure {
    /// From a failed look-up of the name to listen on.
    ///
    /// Before the network is up, the C library returns EAI_AGAIN: no name server can be reached, none is configured, or that of this machine
    /// answers SERVFAIL or REFUSED.  With IPv4 up and IPv6 not yet, the C library asks for IPv4 addresses only (AI_ADDRCONFIG), and a name with
    /// other addresses has none.  Each of these may change in a moment.  With EAI_NONAME a name server itself answers that there is no such name.
    init(_ error: ResolveError) {
        let status: ExitStatus =
            switch error.code {
            case EAI_AGAIN, StartFailure.noData, StartFailure.noAddressOfFamily: .unavailable
            case EAI_MEMORY, EAI_SYSTEM: .system
            default: .configuration
            }
        self.init(status, "\(error)")
    }

    /// EAI_NODATA and EAI_ADDRFAMILY, which Swift's view of glibc leaves out.
    private static let (noData, noAddressOfFamily): (Int32, Int32) = (-5, -9)
}
