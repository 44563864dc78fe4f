import Glibc
import GreenNet
import Logging

/// The server's life: listen, serve until a signal, drain, end.
struct Server {
    let settings: Settings
    private let log: ServerLog

    init(settings: Settings) {
        self.settings = settings
        log = ServerLog(level: settings.logLevel)
    }

    /// Returns when a signal has ended the service and the clients are done.
    func run() throws {
        // A log that goes into a closed pipe must not end the service.
        signal(SIGPIPE, SIG_IGN)
        raiseDescriptorLimit()
        let stop = SignalWatcher(SIGTERM, SIGINT)
        Hub.current.receiveBufferSize = settings.bufferSize
        let server = StreamServer(try listen(), handler: EchoHandler(transform: settings.transform).serve)
        log.follow(server)
        server.start()
        log.listening(on: server.listeners[0].address, settings)
        spawn(name: "dump on USR1") { try dumpOnRequest() }
        try drain(server, after: stop)
    }

    private func listen() throws(StartFailure) -> Listener {
        let address = try address()
        do throws(NetError) {
            return try Listener(on: address, backlog: settings.backlog)
        } catch {
            throw StartFailure(error)
        }
    }

    private func address() throws(StartFailure) -> SocketAddress {
        if let path = settings.unixSocket { return .unix(path: path) }
        do {
            return try Resolver.resolve(settings.host, port: settings.port)[0]
        } catch {
            throw StartFailure(.configuration, "can't listen on \(error)")
        }
    }

    private func drain(_ server: StreamServer, after stop: SignalWatcher) throws {
        let first = try stop.wait()
        spawn(name: "end on a second signal") {
            let second = try stop.wait()
            log.endingAtOnce(second)
            exit(128 + second)
        }
        log.draining(server, signal: first, within: settings.drainTimeout)
        try server.drain(until: .after(settings.drainTimeout))
        log.stopped()
    }

    private func dumpOnRequest() throws {
        let request = SignalWatcher(SIGUSR1)
        while true {
            _ = try request.wait()
            log.dump(Hub.current)
        }
    }

    /// As many connections as the system allows: the soft limit is there for programs that use select(2), which this one doesn't.
    private func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
        else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
