/// Which clients are served, and which peers are proxies.
struct AdmissionRules: Sendable {
    let policy: ClientPolicy
    /// The proxies that speak for their clients: these count, and the proxies do not.  Nil where none does.
    let proxies: AddressRanges?

    init(_ policy: ClientPolicy, _ proxies: AddressRanges? = nil) { (self.policy, self.proxies) = (policy, proxies) }

    init(_ settings: Settings) { self.init(settings.clients, settings.proxy.proxies) }

    /// All clients are served, and no peer is a proxy.
    var areNone: Bool { !policy.deniesSome && proxies == nil }
}
