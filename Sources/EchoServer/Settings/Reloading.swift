import GreenNet

/// What a reload changes of the settings that are not plain bits.
extension Settings {
    /// Returns these settings with the values of `new` that a running server can take over, the names of these, and the names of other settings that
    /// `new` changes.
    func reloaded(_ new: Settings) -> (settings: Settings, changed: [String], needRestart: [String]) {
        var result = self
        result.live = new.live
        (result.clients.allowed, result.clients.denied) = (new.clients.allowed, new.clients.denied)
        (result.proxy, result.record) = (new.proxy, new.record)
        result.listenAt(placesOf: new)
        let others = Settings.all.filter { $0.show(self) != $0.show(new) }
        let changed = others.filter { $0.show(result) == $0.show(new) }.map(\.name)
        return (result, changed, others.map(\.name).filter { !changed.contains($0) })
    }

    private mutating func listenAt(placesOf new: Settings) {
        (host, port, listen) = (new.host, new.port, new.listen)
        (unixSocket, unixSocketAccess) = (new.unixSocket, new.unixSocketAccess)
    }

    /// Those that a forked process needs, for `set`.  One that is missing has no value.
    var words: SharedWords.Words {
        let texts = [
            ("allow", clients.allowed.map { "\($0)" }), ("deny", clients.denied.map { "\($0)" }),
            ("proxy-protocol", proxy.mode.rawValue), ("proxy-trusted", "\(proxy.trusted)"),
            ("record", record.map { "\($0)" }),
        ]
        return texts.compactMap { name, text in text.map { (name, $0) } }
    }

    /// Takes over what another process has written, among other words.
    mutating func set(_ words: SharedWords.Words) {
        (clients.allowed, clients.denied, record) = (nil, nil, nil)
        for (name, text) in words {
            _ = Settings.all.first { $0.name == name }?.set(&self, text)
        }
    }
}
