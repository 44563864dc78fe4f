internal import COpenSSL
import Synchronization

/// The sessions that servers have offered a client, one for each name and address.
///
/// A session is used once, as TLS 1.3 recommends, so that an onlooker can't tell that two connections are of one client; the server offers another one each time.
final class SessionCache: Sendable {
    /// Unchecked: a session belongs to the cache alone, or to the connection that has taken it.
    private struct Session: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    private struct Entries {
        var sessions: [String: Session] = [:]
        /// Oldest first.
        var order: [String] = []
    }

    static let capacity = 256

    private let entries = Mutex(Entries())

    deinit {
        entries.withLock { entries in
            for session in entries.sessions.values { OpenSSL.loaded.pointee.SSL_SESSION_free(session.pointer) }
        }
    }

    /// Takes over `session`.
    func keep(_ session: OpaquePointer, for key: String) {
        let session = Session(pointer: session)
        let dropped = entries.withLock { entries in
            let former = entries.sessions.updateValue(session, forKey: key)
            if former == nil { entries.order.append(key) }
            guard entries.order.count > SessionCache.capacity else { return former }
            return entries.sessions.removeValue(forKey: entries.order.removeFirst())
        }
        if let dropped { OpenSSL.loaded.pointee.SSL_SESSION_free(dropped.pointer) }
    }

    /// Hands the session over; nil where there is none.
    func take(for key: String) -> OpaquePointer? {
        let session = entries.withLock { entries -> Session? in
            guard let session = entries.sessions.removeValue(forKey: key) else { return nil }
            entries.order.removeAll { $0 == key }
            return session
        }
        return session?.pointer
    }
}
