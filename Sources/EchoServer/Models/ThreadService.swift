import GreenNet

/// Serves connections on OS threads.  The handler of those that have nothing else is one for all OS threads, and made anew after a reload: what each message reads
/// of it stays in the processor's caches.
final class ThreadService: Sendable {
    let service: ConnectionService
    private let kept: ReadMostly<Kept>

    private struct Kept {
        /// That of the settings which `plain` was made of.
        var number: UInt64
        var plain: EchoHandler?

        init(_ service: ConnectionService) {
            number = service.live.number
            plain = service.plainHandler
        }
    }

    init(_ service: ConnectionService) { (self.service, kept) = (service, ReadMostly(Kept(service))) }

    /// As `ConnectionService.serve`.  The stack is that of an OS thread of the pool.
    func serve(
        _ descriptor: Int32, _ peer: SocketAddress, request: @escaping () -> ConnectionService.Request?
    ) -> (Connection, ConnectionEnd) {
        service.serve(descriptor, peer, by: plainHandler, onStack: true, request: request)
    }

    /// That of the settings of now.
    private var plainHandler: EchoHandler? {
        @inline(never) get {
            let number = service.live.number
            let now: Kept? = kept.read { $0.pointee.number == number ? $0.pointee : nil }
            return (now ?? renewed()).plain
        }
    }

    private func renewed() -> Kept {
        let new = Kept(service)
        kept.write { $0 = new }
        return new
    }
}
