import GreenNet
import ProgramKit

/// `--check-config`: whether the server could start now, from here and as this user.  It listens on nothing, makes and removes nothing, and does not
/// disturb a running service.
struct StartCheck {
    let settings: Settings

    /// Throws what a start would throw.  Returns what the check can't decide, a sentence each.
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
                    "\(address) is in use: by the running service, or by a program that would prevent a start"
                ]
            }
        } catch {
            throw StartFailure(error)
        }
    }
}
