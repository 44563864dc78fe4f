import GreenNet
import ProgramKit

/// `--check-config`: whether the server could start now, from here and as this user.  It listens on nothing, makes and removes nothing, and does not
/// disturb a running service.
struct StartCheck {
    let settings: Settings

    /// Throws what a start would throw.  Returns what the check can't decide, a sentence each.
    func run() throws(StartFailure) -> [String] {
        _ = try SharedState(settings, descriptorLimit: DescriptorLimit.raise())
        if let path = settings.takeOver { try TakeOver.check(path) }
        var (service, datagrams) = ([SocketAddress](), [SocketAddress]())
        for entry in settings.streamEntries + settings.datagramEntries {
            let settings = entry.settings(settings)
            try settings.socket.checkDevice()
            _ = try settings.unixSocketAccess.permissions("unix-socket")
            let address = try entry.endpoint.listenAddress()
            if entry.kind == .udp { datagrams.append(address) } else { service.append(address) }
        }
        if settings.services.servesDatagrams { datagrams += service.filter { $0.port != nil } }
        let admin = try settings.admin?.listenAddress()
        _ = try settings.adminAccess.permissions("admin")
        if let admin, let address = service.first(where: { admin.overlaps($0) }) {
            throw StartFailure(.unavailable, "cannot bind \(address): --admin listens on \(admin)")
        }
        var notes: [String] = []
        for address in (admin.map { [$0] } ?? []) + service { try notes += findings(on: address) }
        for address in datagrams { try notes += findings(on: address, datagrams: true) }
        return notes
    }

    private func findings(on address: SocketAddress, datagrams: Bool = false) throws(StartFailure) -> [String] {
        do throws(NetError) {
            let probe =
                try datagrams
                ? ListeningProbe(datagrams: address) : ListeningProbe(address, freebind: settings.freebind)
            switch probe {
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
