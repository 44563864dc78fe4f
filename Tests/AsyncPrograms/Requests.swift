import GreenNet

/// What async code and green threads do with task-locals, with an actor's connection, and from a detached task.
let requestPrograms = [
    AsyncProgram("task-locals") {
        var reads: [String] = []
        for name in ["A", "B", nil] {
            spawn {
                func read(_ place: String) { reads.append("\(name ?? "C") \(place): \(Request.name)") }
                func serve() throws {
                    for _ in 0..<3 { try Greenlet.yield() }
                    read("inside")
                }
                if let name { try Request.$name.withValue(name, operation: serve) } else { try serve() }
                try Greenlet.yield()
                read("after")
            }
        }
        try Hub.current.run()
        check(
            reads.sorted() == [
                "A after: none", "A inside: A", "B after: none", "B inside: B", "C after: none", "C inside: none",
            ], "\(reads)")
    },
    AsyncProgram("actor-with-connection") {
        let server = StreamServer(try Listener(on: .loopback(port: 0))) { connection in
            while let bytes = try connection.receive() { try connection.sendAll(bytes) }
        }
        server.start()
        defer { try? server.stop() }
        let client = Client(Hub.current.serialExecutor)
        let (address, answers) = (server.listeners[0].address, RemoteResult<[String]>())
        // On an OS thread of the runtime's: the actor's methods run on the hub's.
        Task.detached {
            do {
                try await client.connect(to: address)
                var texts: [String] = []
                for number in 0..<100 { texts.append(try await client.ask("question \(number)")) }
                await client.close()
                answers.set(texts)
            } catch {
                answers.fail(error)
            }
        }
        let texts = try answers.value()
        check(texts == (0..<100).map { "question \($0)" }, "\(texts)")
    },
    AsyncProgram("detached-spawn") {
        let (remote, here) = (Hub.current.remote, osThread())
        let results = (0..<6).map { _ in RemoteResult<[Int]>() }
        for result in results {
            Task.detached {
                do {
                    let values = try await remote.run { () -> [Int] in
                        check(osThread() == here, "ran on another OS thread than the hub's")
                        let greenlets = (0..<5).map { number in
                            spawn {
                                try Greenlet.sleep(for: .milliseconds(1))
                                return number
                            }
                        }
                        return try greenlets.map { try $0.value() }
                    }
                    result.set(values)
                } catch {
                    result.fail(error)
                }
            }
        }
        for result in results {
            let values = try result.value()
            check(values == [0, 1, 2, 3, 4], "\(values)")
        }
    },
]

private enum Request {
    @TaskLocal static var name = "none"
}

/// Owns a connection, which belongs to a hub: so does the actor.
private actor Client {
    private let executor: HubSerialExecutor
    private var connection: Connection?

    init(_ executor: HubSerialExecutor) { self.executor = executor }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func connect(to address: SocketAddress) throws {
        connection = try parking { try Connection.connect(to: address) }
    }

    func ask(_ question: String) throws -> String {
        guard let connection else { return "" }
        return try parking {
            try connection.sendAll(question)
            return String(decoding: try connection.receive(exactly: question.utf8.count), as: UTF8.self)
        }
    }

    func close() { connection = nil }
}
