import GreenNet
import ProgramKit

/// `--check-config`: whether the server could start now, from here and as this user.  Nothing is listened on, made or removed, and a service
/// that runs is not disturbed.
struct StartCheck {
    let settings: Settings

    /// Throws what a start would.  Returns what could not be found out, a sentence each.
    func run() throws(StartFailure) -> [String] {
        _ = try SharedState(settings, descriptorLimit: DescriptorLimit.raise())
        let service = try settings.endpoint.listenAddress()
        _ = try settings.unixSocketAccess.permissions("unix-socket")
        let admin = try settings.admin?.listenAddress()
        _ = try settings.adminAccess.permissions("admin")
        if let admin, admin.overlaps(service) {
            throw StartFailure(.unavailable, "cannot bind \(service): --admin listens on \(admin)")
        }
        var notes: [String] = []
        for address in [admin, service].compactMap({ $0 }) { try notes += findings(on: address) }
        return notes
    }

    private func findings(on address: SocketAddress) throws(StartFailure) -> [String] {
        do throws(NetError) {
            switch try ListeningProbe(address, freebind: settings.freebind) {
            case .free: return []
            case .inUse:
                return [
                    "\(address) is in use, as it is while the service runs; in another program's hands it would prevent a start"
                ]
            }
        } catch {
            throw StartFailure(error)
        }
    }
}
