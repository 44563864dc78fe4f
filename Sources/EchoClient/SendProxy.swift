import ArgumentParser
import GreenNet
import ProgramKit

extension ProxyHeader.Version: ExpressibleByArgument {}

extension ProxyHeader {
    /// Sends a header that names the two ends of `connection`: before anything else, TLS too.  Closes the connection where that fails.
    static func send(_ version: Version, on connection: Connection, until deadline: Deadline) throws {
        do {
            let ends = Ends(source: try connection.localAddress(), destination: connection.peer)
            try connection.sendAll(ProxyHeader(version, ends).bytes, until: deadline)
        } catch {
            connection.close()
            throw error
        }
    }
}
