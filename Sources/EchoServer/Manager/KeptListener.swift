import GreenNet

/// Listeners that the service manager keeps for the next start (FDSTORE=1 in sd_notify(3)), so that clients that connect meanwhile wait and are not refused.
///
/// Only those with a port: the path of a unix socket is removed when the service ends.
enum KeptListener {
    /// The beginning of each name.
    static let prefix = "kept-"

    /// The name for a listener on `address`: no colon, which is between names.  Nil where it is not kept.
    static func name(of address: SocketAddress) -> String? {
        address.port == nil ? nil : prefix + "\(address)".map { $0 == ":" ? "/" : String($0) }.joined()
    }
}

extension OpenPlace {
    /// Nil where the manager does not keep it, or has it anyway.
    var keptName: String? { entry == nil ? nil : KeptListener.name(of: address) }
}
