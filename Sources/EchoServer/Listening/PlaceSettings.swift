import GreenNet

extension ConnectionService {
    /// The same for the place at which `connection` was accepted.
    func at(_ connection: Connection) -> ConnectionService {
        guard let profiles = live.profiles else { return self }
        var service = self
        service.place = profiles.entry(of: connection)
        return service
    }

    /// The settings for a connection that begins now.
    var settings: Settings {
        let settings = live.now
        return place?.settings(settings) ?? settings
    }

    /// Nil where the connection speaks no TLS.
    var tls: ServerTLS? { place?.speaksTLS ?? true ? live.tls : nil }
}
