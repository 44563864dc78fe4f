import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// FDSTORE: the service manager keeps the listeners between two runs of the service.
    @Suite(.serialized) struct KeptListenerTests {
        /// Waits for the next datagram about descriptors.
        private func next(_ manager: Connection) throws -> (text: String, descriptors: [Int32]) {
            while true {
                let received = try #require(try manager.receiveDescriptors(upTo: 64, until: .after(.patient(10))))
                let text = String(decoding: received.bytes, as: UTF8.self)
                if text.hasPrefix("FDSTORE") { return (text, received.descriptors) }
            }
        }

        private static let models = ServerModel.testable(
            .green, .greenWorkers, .greenProcesses, .thread, .process, .forkServer, .processPool)

        @Test(arguments: models)
        func `a restart has no gap: clients that come meanwhile wait, and are served by the next run`(
            model: ServerModel
        ) throws {
            try withTemporaryPath("log") { log in
                let managerSocket = try ManagerSocket()
                try withServer(model) {
                    $0.environment["NOTIFY_SOCKET"] = managerSocket.name
                } _: { server in
                    let (manager, port) = (managerSocket.connection, try server.port)
                    defer { manager.close() }
                    // As a manager does, which has the descriptors from now on.
                    let kept = try next(manager)
                    defer { for descriptor in kept.descriptors { close(descriptor) } }
                    #expect(kept.text.hasPrefix("FDSTORE=1\nFDNAME=kept-127.0.0.1/\(port)\n"))
                    #expect(
                        kept.descriptors.count == model.hubsOfWorker
                            * (model.kind == .green ? max(1, model.workers) : 1))
                    server.program.send(SIGTERM)
                    try #expect(server.program.waitForExitOnHub() == .status(0))
                    let waiting = try (0..<8).map { _ in try server.connect() }
                    defer { for client in waiting { client.close() } }
                    let names = kept.descriptors.map { _ in "kept-127.0.0.1/\(port)" }.joined(separator: ":")
                    let following = try ActivatedServer(
                        model.arguments + ["--port", "\(port)"], sockets: kept.descriptors, log: log,
                        variables: "LISTEN_PID=$$ LISTEN_FDS=\"$N\" LISTEN_FDNAMES=\(names)")
                    // A pool has four places.
                    for client in waiting.prefix(4) { try client.expect("WAITED", to: "waited") }
                    for client in waiting.prefix(4) { client.close() }
                    for client in waiting.dropFirst(4) { try client.expect("TOO", to: "too") }
                    for client in waiting { client.close() }
                    #expect(!following.lines.contains { $0.contains("ignoring host") })
                    try following.stop()
                }
            }
        }

        @Test func `one that is not wanted any more is closed, and so is one that a reload takes away`() throws {
            try withTemporaryPath("log") { log in
                let managerSocket = try ManagerSocket()
                let old = try ListeningSocket(on: .loopback(port: 0), backlog: 4)
                defer { old.close() }
                try onHub(.seconds(60)) {
                    let settings = log + ".settings"
                    defer { unlink(settings) }
                    let free = try Listener(on: .loopback(port: 0))
                    let port = free.address.port!
                    free.close()
                    try write("listen = tcp:127.0.0.1:\(port),tcp:127.0.0.2:\(port)", to: settings)
                    let manager = managerSocket.connection
                    defer { manager.close() }
                    let server = try ActivatedServer(
                        ["--config", settings], sockets: [old.descriptor], log: log,
                        variables:
                            "NOTIFY_SOCKET=\(managerSocket.name) LISTEN_PID=$$ LISTEN_FDS=\"$N\" LISTEN_FDNAMES=kept-127.0.0.1/\(old.address.port!)"
                    )
                    #expect(
                        try next(manager).text.hasPrefix(
                            "FDSTOREREMOVE=1\nFDNAME=kept-127.0.0.1/\(old.address.port!)\n"))
                    for place in ["127.0.0.1", "127.0.0.2"] {
                        let (text, descriptors) = try next(manager)
                        #expect(text.hasPrefix("FDSTORE=1\nFDNAME=kept-\(place)/\(port)\n") && descriptors.count == 1)
                        for descriptor in descriptors { close(descriptor) }
                    }
                    try write("listen = tcp:127.0.0.1:\(port)", to: settings)
                    server.send(SIGHUP)
                    #expect(try next(manager).text.hasPrefix("FDSTOREREMOVE=1\nFDNAME=kept-127.0.0.2/\(port)\n"))
                    try server.stop()
                }
            }
        }

        @Test func `one that is in the way of a new place is given back first`() throws {
            try withTemporaryPath("log") { log in
                let managerSocket = try ManagerSocket()
                let old = try ListeningSocket(on: .loopback(port: 0), backlog: 4)
                let port = old.address.port!
                try onHub(.seconds(60)) {
                    let manager = managerSocket.connection
                    defer { manager.close() }
                    let server = try ActivatedServer(
                        ["--host", "0.0.0.0", "--port", "\(port)"], sockets: [old.descriptor], log: log,
                        variables:
                            "NOTIFY_SOCKET=\(managerSocket.name) LISTEN_PID=$$ LISTEN_FDS=\"$N\" LISTEN_FDNAMES=kept-127.0.0.1/\(port)"
                    )
                    #expect(
                        try next(manager).text.hasPrefix("FDSTOREREMOVE=1\nFDNAME=kept-127.0.0.1/\(port)\n"))
                    old.close()
                    let (text, descriptors) = try next(manager)
                    #expect(text.hasPrefix("FDSTORE=1\nFDNAME=kept-0.0.0.0/\(port)\n"))
                    for descriptor in descriptors { close(descriptor) }
                    try server.stop()
                }
            }
        }
    }
}
