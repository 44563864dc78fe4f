import Glibc
import ProgramKit
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// Servers on several hubs.  `onHub` checks that no OS thread and no descriptor is left when the server has stopped.
struct HubsModelTests {
    // MARK: Serving

    @Test(arguments: [1, 2, 5])
    func `connections are spread evenly over the hubs, each served on one OS thread`(hubs: Int) throws {
        try onHub {
            let seen = Guarded<[pid_t: Int]>([:])
            let server = try StreamServer(on: loopback, hubs: .count(hubs)) { connection in
                seen.withLock { $0[LinuxCalls.threadNumber(), default: 0] += 1 }
                try echo(connection)
            }
            server.start()
            let clients = try (0..<3 * hubs).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            for (number, client) in clients.enumerated() {
                client.write(pattern(1000, seed: number))
                #expect(try client.read(exactly: 1000) == pattern(1000, seed: number))
            }
            let counts = seen.withLock { $0 }
            #expect(counts.count == hubs)
            #expect(counts.values.allSatisfy { $0 == 3 })
            #expect(counts[LinuxCalls.threadNumber()] == nil)
            #expect(server.openConnections == 3 * hubs)
            try server.stop()
        }
    }

    @Test func `perCore makes a hub for each processor that the OS thread may run on`() throws {
        try onHub {
            let status = try #require(SmallFile.text(of: "/proc/thread-self/status"))
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") })
            // As in `0-3,8`.
            let ranges = line.drop { !$0.isNumber }.split(separator: ",").map {
                $0.split(separator: "-").map { Int($0)! }
            }
            #expect(HubCount.perCore.number == ranges.reduce(0) { $0 + $1.last! - $1.first! + 1 })
        }
    }

    @Test func `a server on no hub or on more than 1024 stops the program`() async {
        for count: Int in [.min, -1, 0, 1025, .max] {
            await #expect(processExitsWith: .failure) { [count = count as Int] in
                try onHub { _ = try StreamServer(on: .loopback(port: 0), hubs: .count(count)) { _ in } }
            }
        }
        #expect(HubCount.count(1).number == 1 && HubCount.count(1024).number == 1024)
    }

    @Test func `unix sockets and inherited sockets are served by several hubs too`() throws {
        try onHub {
            let unix = try Listener(on: .unix(path: "@greennet-hubs-\(getpid())"))
            let origin = try ListeningSocket(on: loopback, backlog: 10)
            let inherited = Listener(ListeningSocket(inherited: origin.descriptor, address: origin.address))
            let server = try StreamServer(unix, inherited, hubs: .count(2)) { try echo($0) }
            server.start()
            for listener in server.listeners {
                let client = try Peer(connectedTo: listener.address)
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            try server.stop()
            // The server leaves that open for other processes.
            inherited.close()
        }
    }

    @Test func `the limit counts the connections of all hubs, and a place that comes free is used`() throws {
        try onHub {
            let most = Mutex((running: 0, most: 0))
            let server = try StreamServer(on: loopback, hubs: .count(3), limit: 4) { connection in
                most.withLock { $0 = ($0.running + 1, max($0.most, $0.running + 1)) }
                defer { most.withLock { $0.running -= 1 } }
                try echo(connection)
            }
            server.start()
            let clients = try (0..<12).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            for client in clients { client.write(pattern(10)) }
            for client in clients {
                #expect(try client.read(exactly: 10) == pattern(10))
                #expect(server.openConnections <= 4)
                client.close()
            }
            try server.drain(until: .after(.seconds(10)))
            #expect(most.withLock { $0.most } == 4)
        }
    }

    @Test func `a full server with reject refuses whatever the hub`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, hubs: .count(2), limit: 2, overflow: .reject) { try echo($0) }
            server.start()
            let clients = try (0..<2).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            try waitUntil { server.openConnections == 2 }
            let refused = try Peer(connectedTo: server.listeners[0].address)
            #expect(try refused.ending() == .end)
            #expect(server.openConnections == 2)
            for client in clients { client.close() }
            try server.stop()
        }
    }

    @Test func `what a handler throws ends its connection only, and is told with it on its own hub`() throws {
        try onHub {
            let failures = Mutex<[String]>([])
            var ends: [ConnectionEnd] = []
            let server = try StreamServer(
                on: loopback, hubs: .count(2),
                onFailure: { _, error in failures.withLock { $0.append("\(error)") } },
                handler: { connection in
                    guard try connection.receive(upTo: 1) == [1] else { throw Refused() }
                })
            server.onEnd = { ends.append($0) }
            server.start()
            for byte in [UInt8(0), 1, 0] {
                let client = try Peer(connectedTo: server.listeners[0].address)
                client.write([byte])
                #expect(try client.ending() == .end)
            }
            try waitUntil { ends.count == 3 }
            #expect(ends.filter { $0 == .failed }.count == 2 && ends.filter { $0 == .done }.count == 1)
            #expect(failures.withLock { $0 } == ["Refused()", "Refused()"])
            try server.stop()
        }
    }

    // MARK: Stopping

    @Test func `stop cancels the connections of all hubs and returns when they have unwound and the hubs have ended`()
        throws
    {
        try onHub {
            let unwound = Mutex(0)
            let server = try StreamServer(on: loopback, hubs: .count(3)) { connection in
                defer { unwound.withLock { $0 += 1 } }
                defer { shielded { try? Greenlet.sleep(for: .milliseconds(10)) } }
                try echo(connection)
            }
            server.start()
            let clients = try (0..<9).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            try waitUntil { server.openConnections == 9 }
            try server.stop()
            #expect(unwound.withLock { $0 } == 9)
            #expect(server.openConnections == 0)
            try waitUntil { !threadNames().contains { $0.hasPrefix("hub ") } }
            for client in clients { #expect(try client.ending() == .end) }
            // Once more: nothing is left to do.
            try server.stop()
        }
    }

    @Test func `drain lets the connections of all hubs answer, and ends idle ones`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, hubs: .count(2)) { connection in
                while let request = try connection.withIdle({ try connection.receive(upTo: 100) }) {
                    try connection.sendAll(request)
                }
            }
            server.start()
            let clients = try (0..<4).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            for client in clients {
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            let drained = spawn { try server.drain(until: .after(.seconds(30))) }
            for client in clients { #expect(try client.ending() == .end) }
            try drained.value()
            #expect(server.isDraining && server.openConnections == 0)
        }
    }

    @Test func `at its deadline, drain ends the receiving of all hubs' connections, which answer what has come`() throws
    {
        try onHub {
            let server = try StreamServer(on: loopback, hubs: .count(2)) { try echo($0) }
            server.start()
            let clients = try (0..<4).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            try waitUntil { server.openConnections == 4 }
            for client in clients { client.write(pattern(10)) }
            let drained = spawn { try server.drain(until: .after(.milliseconds(20))) }
            for client in clients { #expect(try client.readToEnd() == pattern(10)) }
            try drained.value()
        }
    }

    @Test func `run returns once a handler on another hub has had the server stop accepting`() throws {
        try onHub {
            let stop = RemoteEvent()
            let server = try StreamServer(on: loopback, hubs: .count(2)) { connection in
                try echo(connection)
                stop.set()
            }
            spawn {
                try stop.wait()
                server.stopAccepting()
            }
            let client = spawn {
                let client = try Peer(connectedTo: server.listeners[0].address)
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
                client.close()
            }
            try server.run()
            try client.value()
            try waitUntil { !threadNames().contains { $0.hasPrefix("hub ") } }
        }
    }

    @Test func `where the server's own hub closes, the other hubs end, and their connections with them`() throws {
        try onOSThread {
            let ended = Mutex(0)
            let server = try StreamServer(on: loopback, hubs: .count(2)) { connection in
                defer { ended.withLock { $0 += 1 } }
                try echo(connection)
            }
            server.start()
            let clients = try (0..<4).map { _ in try Peer(connectedTo: server.listeners[0].address) }
            try waitUntil { server.openConnections == 4 }
            for listener in server.listeners { listener.close() }
            Hub.current.close()
            #expect(ended.withLock { $0 } == 4)
            for client in clients { #expect(client.read() == .end) }
        }
    }

    @Test func `a server that has ended leaves no object behind`() throws {
        try onHub {
            weak var ended: StreamServer?
            do {
                let server = try StreamServer(on: loopback, hubs: .count(2)) { try echo($0) }
                server.start()
                let client = try Peer(connectedTo: server.listeners[0].address)
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
                client.close()
                try server.drain(until: .after(.seconds(10)))
                ended = server
            }
            try waitUntil { ended == nil }
        }
    }

    @Test func `a server that is never started, or never had a connection, leaves no hub`() throws {
        try onHub {
            _ = try StreamServer(on: loopback, hubs: .count(2)) { _ in }
            let started = try StreamServer(on: loopback, hubs: .count(2)) { _ in }
            started.start()
            try Greenlet.yield()
            try started.stop()
        }
    }

    // MARK: A hub that ends

    @Test func `a hub that a handler has stopped is told, and the others serve on`() throws {
        try onHub {
            var (ended, ends): ([Int], [ConnectionEnd]) = ([], [])
            let server = try StreamServer(on: loopback, hubs: .count(2)) { connection in
                if try connection.receive(upTo: 1) == [0] { Hub.current.stopServing() }
                try echo(connection)
            }
            server.onAcceptEvent = { event, _ in if case .hubEnded(let index) = event { ended.append(index) } }
            server.onEnd = { ends.append($0) }
            server.start()
            let killer = try Peer(connectedTo: server.listeners[0].address)
            killer.write([0])
            #expect(try killer.ending() == .end)
            try waitUntil { ends == [.cancelled] }
            for _ in 0..<4 {
                let client = try Peer(connectedTo: server.listeners[0].address)
                client.write([1] + pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            #expect(ended.count == 1)
            try server.stop()
        }
    }

    @Test func `where all hubs have ended, run throws, and clients are refused`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, hubs: .count(2)) { _ in Hub.current.stopServing() }
            let clients = spawn {
                var clients: [Peer] = []
                while let client = try? Peer(connectedTo: server.listeners[0].address) {
                    clients.append(client)
                    _ = try client.ending()
                }
            }
            let error = failure { () throws(NetError) in try server.run() }
            #expect(error?.call == .threadCreate && error?.errno == SystemError(ESHUTDOWN))
            try clients.value()
        }
    }

    @Test func `where the process has no descriptor for a hub, the server can't be made, and nothing is left of it`()
        throws
    {
        try onHub {
            let listener = try Listener(on: loopback)
            let free = open("/dev/null", O_RDONLY | O_CLOEXEC)
            close(free)
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            var limit = rlimit()
            getrlimit(resource, &limit)
            // Enough for the hubs of one OS thread, and not for those of twenty.
            var few = rlimit(rlim_cur: rlim_t(free) + 8, rlim_max: limit.rlim_max)
            setrlimit(resource, &few)
            let error = failure { () throws(NetError) in
                _ = try StreamServer(listener, hubs: .count(20)) { _ in }
            }
            setrlimit(resource, &limit)
            #expect(error?.call == .threadCreate && error?.errno == SystemError(EMFILE))
            try waitUntil { !threadNames().contains { $0.hasPrefix("hub ") } }
        }
    }

    // MARK: Many

    @Test func `many short connections come and go, and each is answered and counted once`() throws {
        try onHub(.seconds(120)) {
            let count = Sanitizer.scaled(2000, address: 500, thread: 200)
            var ends = 0
            let server = try StreamServer(on: loopback, hubs: .count(3), limit: 50) { try echo($0) }
            server.onEnd = {
                #expect($0 == .done)
                ends += 1
            }
            server.start()
            let address = server.listeners[0].address
            try withGreenGroup(limit: 20) { group in
                for number in 0..<count {
                    group.spawn {
                        let connection = try Connection.connect(to: address)
                        try connection.sendAll(pattern(100, seed: number))
                        #expect(try connection.receive(exactly: 100) == pattern(100, seed: number))
                        connection.close()
                    }
                }
            }
            try server.drain(until: .after(.seconds(60)))
            #expect(ends == count && server.openConnections == 0)
        }
    }
}

private struct Refused: Error {}

private func echo(_ connection: Connection) throws {
    while let bytes = try connection.receive() { try connection.sendAll(bytes) }
}

/// Of the OS threads of this process.
private func threadNames() -> [String] {
    ProcFS.numbers(in: "/proc/self/task").compactMap { SmallFile.text(of: "/proc/self/task/\($0)/comm") }
}
