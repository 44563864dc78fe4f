/// Decides how many connections a server has at once, and from which peers.
///
/// A server calls it on its own OS thread.  Several servers, on several hubs or in several processes, may share one limit: each has an object of its own, and
/// what these share is locked.
public protocol Admission: AnyObject {
    /// Takes a place for one more connection; false where none is free.
    func reserve() -> Bool
    /// Gives a place back.
    func release()
    /// Whether `peer` may have one more connection; true counts it.
    func admit(_ peer: SocketAddress) -> Bool
    /// A connection of `peer` that was admitted has ended.
    func leave(_ peer: SocketAddress)
    /// How often the server looks for a place that has come free elsewhere: on another hub, or by a new limit.
    /// Nil where places come free only by this server's own connections.
    var lookInterval: Duration? { get }
}

/// A fixed number of places, for one server.
final class LocalAdmission: Admission {
    private var free: Int

    init(places: Int) { free = places }

    func reserve() -> Bool {
        guard free > 0 else { return false }
        free -= 1
        return true
    }

    func release() { free += 1 }
    func admit(_ peer: SocketAddress) -> Bool { true }
    func leave(_ peer: SocketAddress) {}
    var lookInterval: Duration? { nil }
}
