import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct StreamServerTests {
    // MARK: Serving

    @Test func `connections are served side by side`() throws {
        try onHub {
            let server = try Server(echo)
            let clients = try (0..<3).map { _ in try server.connect() }
            for seed in 0..<3 {
                for (number, client) in clients.enumerated() {
                    client.write(pattern(100, seed: seed * 10 + number))
                }
                for (number, client) in clients.enumerated().reversed() {
                    #expect(try client.read(exactly: 100) == pattern(100, seed: seed * 10 + number))
                }
            }
            for client in clients { client.close() }
            try server.stopsByItself()
        }
    }

    @Test func `one server accepts from several listeners`() throws {
        try onHub {
            let (one, other) = (try Listener(on: loopback), try Listener(on: .unix(path: "@greennet-\(getpid())")))
            let server = StreamServer(one, other) { try echo($0) }
            server.start()
            for listener in server.listeners {
                let client = try Peer(connectedTo: listener.address)
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            try server.stop()
        }
    }

    @Test func `nothing is accepted before the start`() throws {
        try onHub {
            let server = StreamServer(try Listener(on: loopback)) { try echo($0) }
            let client = try Peer(connectedTo: server.listeners[0].address)
            client.write(pattern(10))
            for _ in 0..<10 { try Greenlet.yield() }
            #expect(server.openConnections == 0)
            server.start()
            #expect(try client.read(exactly: 10) == pattern(10))
            try server.stop()
        }
    }

    @Test func `a paused server serves its open connections and accepts none until it is started again`() throws {
        try onHub {
            let server = StreamServer(try Listener(on: loopback)) { try echo($0) }
            server.start()
            let first = try Peer(connectedTo: server.listeners[0].address)
            first.write(pattern(10))
            #expect(try first.read(exactly: 10) == pattern(10))
            var latecomers: [Peer] = []
            for round in 1...2 {
                try server.pauseAccepting()
                let late = try Peer(connectedTo: server.listeners[0].address)
                latecomers.append(late)
                late.write(pattern(10))
                first.write(pattern(20))
                #expect(try first.read(exactly: 20) == pattern(20))
                #expect(server.openConnections == round)
                server.start()
                #expect(try late.read(exactly: 10) == pattern(10))
            }
            try server.stop()
        }
    }

    @Test func `a started server continues without a reference to it`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            StreamServer(listener) { try echo($0) }.start()
            for _ in 0..<2 {
                let client = try Peer(connectedTo: listener.address)
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
                client.close()
            }
            listener.close()
        }
    }

    @Test func `a second start stops the program`() async {
        await #expect(processExitsWith: .failure) {
            try onHub {
                let server = try Server(echo)
                server.start()
            }
        }
    }

    @Test func `a server counts its open connections`() throws {
        try onHub {
            let server = try Server(echo)
            var clients: [Peer] = []
            for count in 1...5 {
                clients.append(try server.connect())
                #expect(server.openConnections == count)
            }
            while let client = clients.popLast() {
                client.close()
                try waitUntil { server.openConnections == clients.count }
            }
            try server.stopsByItself()
        }
    }

    // MARK: run

    @Test func `run serves on several addresses until the server has been drained`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, loopback, handler: echo)
            let client = spawn {
                for listener in server.listeners {
                    let connection = try Connection.connect(to: listener.address)
                    try connection.sendAll("hello")
                    #expect(try connection.receive(exactly: 5) == Array("hello".utf8))
                }
                try server.drain(until: .after(.seconds(10)))
            }
            try server.run()
            #expect(server.openConnections == 0)
            try client.value()
            // `run` does not start the server again.
            try server.run()
        }
    }

    @Test func `run goes on until the last connection has ended`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, handler: echo)
            let running = spawn { try server.run() }
            let client = try Connection.connect(to: server.listeners[0].address)
            try waitUntil { server.openConnections == 1 }
            server.stopAccepting()
            try client.sendAll("hello")
            #expect(try client.receive(exactly: 5) == Array("hello".utf8))
            #expect(!running.hasEnded)
            client.close()
            try running.value(until: .after(.seconds(10)))
        }
    }

    @Test func `a server that is stopped without a client ends its run, and so does one whose listener is closed`()
        throws
    {
        try onHub {
            for stop in [{ try $0.stop() }, { $0.listeners[0].close() }] as [(StreamServer) throws -> Void] {
                let server = try StreamServer(on: loopback, handler: echo)
                let running = spawn { try server.run() }
                try running.waitUntilParked()
                try stop(server)
                try running.value(until: .after(.seconds(10)))
            }
        }
    }

    @Test func `run throws what its only listener has failed with`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, handler: echo)
            let error = try LibraryCall.accept.failing(1, with: EOPNOTSUPP) {
                let client = try Peer(connectedTo: server.listeners[0].address)
                defer { client.close() }
                return failure { () throws(NetError) in try server.run() }
            }
            #expect(error?.errno == SystemError(EOPNOTSUPP))
        }
    }

    @Test func `a run whose green thread is killed throws, and the server goes on`() throws {
        try onHub {
            let server = try StreamServer(on: loopback, handler: echo)
            let running = spawn { failure { () throws(NetError) in try server.run() } }
            try running.waitUntilParked()
            running.kill()
            #expect(try running.value()?.isCancellation == true)
            let client = try Connection.connect(to: server.listeners[0].address)
            #expect(failure { () throws(NetError) in try client.receive(until: .now) }?.isTimeout == true)
            try client.sendAll("hello")
            #expect(try client.receive(exactly: 5) == Array("hello".utf8))
            try server.stop()
        }
    }

    // MARK: The end of a connection

    @Test func `a handler that throws ends its connection and no other, and is reported`() throws {
        try onHub {
            let server = try Server { connection in
                if try connection.receive(exactly: 1) == [0] { throw Refused() }
                try connection.sendAll([1])
            }
            let (bad, good) = (try server.connect(), try server.connect())
            bad.write([0])
            #expect(try bad.ending() == .end)
            #expect(server.failures == ["\(bad.address): Refused()"])
            #expect(server.openConnections == 1)
            good.write([1])
            #expect(try good.readToEnd() == [1])
            #expect(server.failures.count == 1)
            try server.stopsByItself()
        }
    }

    @Test func `the peer sees the end if the handler returns at once`() throws {
        try onHub {
            let server = try Server { _ in }
            for _ in 0..<10 {
                let client = try Peer(connectedTo: server.address)
                #expect(try client.ending() == .end)
            }
            #expect(server.openConnections == 0)
            #expect(server.failures == [])
            try server.stopsByItself()
        }
    }

    @Test func `a connection that its handler keeps is closed at the handler's end`() throws {
        try onHub {
            var kept: [Connection] = []
            let server = try Server { kept.append($0) }
            let client = try Peer(connectedTo: server.address)
            #expect(try client.ending() == .end)
            #expect(failure { () throws(NetError) in try kept[0].receive() }?.waitError == .closed)
            try server.stopsByItself()
        }
    }

    @Test func `what a client sent before its half-close is answered to the last byte`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try Connection.connect(to: server.address)
            let bytes = pattern(Sanitizer.scaled(4 << 20, address: 1 << 20, thread: 1 << 20))
            let sender = spawn {
                try client.sendAll(bytes)
                try client.shutdownSending()
            }
            expectSame(try client.receiveAll(), bytes)
            try sender.value()
            try waitUntil { server.openConnections == 0 }
            #expect(server.failures == [])
            try server.stopsByItself()
        }
    }

    @Test func `events of the accept loop are reported with their listener`() throws {
        try onHub {
            let server = try Server(echo)
            try LibraryCall.accept.failing(1, with: ECONNABORTED) { _ = try server.connect() }
            #expect(server.events == ["skipped at \(server.address)"])
            try server.stop()
        }
    }

    @Test func `the end of each connection is reported`() throws {
        try onHub {
            let server = try Server { connection in
                let deadline = Deadline.now + .milliseconds(20)
                switch try connection.receive(exactly: 1) {
                case [1]: _ = try connection.receive(exactly: 1, until: deadline)
                case [2]: try connection.sendAll(pattern(16 << 20), until: deadline)
                case [3]:
                    try connection.sendAll([3])
                    _ = try connection.receive()
                case [4]: throw Refused()
                default: break
                }
            }
            for command in [UInt8(0), 1, 2, 4] {
                let client = try Peer(connectedTo: server.address)
                client.write([command])
                try waitUntil { server.ends.count == Int(min(command, 3)) + 1 }
            }
            let client = try server.connect()
            client.write([3])
            #expect(try client.read(exactly: 1) == [3])
            client.reset()
            try waitUntil { server.openConnections == 0 }
            #expect(server.ends == [.done, .idle, .slow, .failed, .peerGone])
            let last = try server.connect()
            try server.stop()
            #expect(server.ends.last == .cancelled)
            last.close()
        }
    }

    // MARK: Limits

    @Test func `with all places taken, the next client waits in the kernel's queue until a place is free`() throws {
        try onHub {
            let server = try Server(limit: 2, echo)
            let clients = try (0..<5).map { number in
                let client = try Peer(connectedTo: server.address)
                client.write(pattern(10, seed: number))
                return client
            }
            for (number, client) in clients.enumerated() {
                #expect(try client.read(exactly: 10) == pattern(10, seed: number))
                #expect(server.openConnections <= 2)
                #expect(server.openConnections == 2 || number == clients.count - 1)
                client.close()
            }
            #expect(server.events == [])
            try server.stopsByItself()
        }
    }

    @Test func `with all places taken and overflow reject, the next client is closed at once`() throws {
        try onHub {
            let server = try Server(limit: 2, overflow: .reject, echo)
            let served = [try server.connect(), try server.connect()]
            for _ in 0..<3 {
                let late = try Peer(connectedTo: server.address)
                let address = late.address
                #expect(try late.ending() == .end)
                #expect(server.events.last == "refused \(address): full")
            }
            #expect(server.events.count == 3)
            served[0].close()
            try waitUntil { server.openConnections == 1 }
            let next = try server.connect()
            for client in [served[1], next] {
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
                client.close()
            }
            try server.stopsByItself()
        }
    }

    @Test func `a full server does not keep the loop busy over waiting clients`() throws {
        try onHub {
            let server = try Server(limit: 1, echo)
            let client = try server.connect()
            let waiting = try Peer(connectedTo: server.address)
            try Greenlet.sleep(for: .milliseconds(5))
            let before = processorTime()
            try Greenlet.sleep(for: .milliseconds(100))
            #expect(processorTime() - before < .milliseconds(30))
            #expect(server.openConnections == 1)
            client.close()
            waiting.write(pattern(10))
            #expect(try waiting.read(exactly: 10) == pattern(10))
            try server.stop()
        }
    }

    @Test func `a full server that is drained serves the clients that waited for a place`() throws {
        try onHub {
            let server = try Server(limit: 1, echo)
            let client = try server.connect()
            let waiting = try Peer(connectedTo: server.address)
            for _ in 0..<5 { try Greenlet.yield() }
            let drain = spawn { try server.drain(until: .after(.seconds(60))) }
            client.write(pattern(10))
            #expect(try client.read(exactly: 10) == pattern(10))
            client.close()
            waiting.write(pattern(10))
            #expect(try waiting.read(exactly: 10) == pattern(10))
            waiting.close()
            try drain.value(until: .after(slack))
        }
    }

    @Test func `clients that still wait for a place at the deadline are disconnected`() throws {
        try onHub {
            let server = try Server(limit: 1, echo)
            let client = try server.connect()
            let waiting = try Peer(connectedTo: server.address)
            for _ in 0..<5 { try Greenlet.yield() }
            try server.drain(until: .now)
            let ending = try waiting.ending()
            #expect(ending != .nothing)
            client.close()
            waiting.close()
        }
    }

    @Test func `a server that is dropped with its hub leaves no waiting connection open`() throws {
        try onHub {
            let server = try Server(limit: 1, echo)
            let client = try server.connect()
            let waiting = try Peer(connectedTo: server.address)
            for _ in 0..<5 { try Greenlet.yield() }
            server.stopAccepting()
            Hub.current.close()
            client.close()
            waiting.close()
        }
    }

    // MARK: Many

    @Test func `a thousand connections at once each get their own bytes back`() throws {
        try withAllDescriptors {
            try onHub(.seconds(60)) {
                let count = Sanitizer.scaled(1000, address: 1000, thread: 200)
                let server = try Server(echo)
                var (connected, exact) = (0, 0)
                let clients = (0..<count).map { number in
                    spawn {
                        let client = try Connection.connect(to: server.address)
                        connected += 1
                        try waitUntil { connected == count && server.openConnections == count }
                        for round in 0..<3 {
                            let bytes = pattern(100 + number, seed: number * 3 + round)
                            try client.sendAll(bytes)
                            if try client.receive(exactly: bytes.count) == bytes { exact += 1 }
                        }
                        client.close()
                    }
                }
                for client in clients { try client.value() }
                #expect(exact == 3 * count)
                try waitUntil { server.openConnections == 0 }
                try server.stopsByItself()
            }
        }
    }

    @Test func `connections that come and go by the thousand leave nothing behind`() throws {
        try onHub(.seconds(60)) {
            let server = StreamServer(try Listener(on: loopback)) { try echo($0) }
            var ends: [ConnectionEnd: Int] = [:]
            server.onEnd = { ends[$0, default: 0] += 1 }
            server.start()
            try comeAndGo(500, at: server)
            let (descriptors, memory) = (openDescriptors(), usedMemory())
            let stacks = Hub.current.scheduler.fields.pointee.stacks.cached
            let count = Sanitizer.scaled(9500, address: 4500, thread: 1500)
            try comeAndGo(count, at: server)
            #expect(ends.values.reduce(0, +) == count + 500)
            #expect(Set(ends.keys) == [.done, .peerGone])
            #expect(openDescriptors() == descriptors)
            #expect(Hub.current.scheduler.fields.pointee.alive == 1)
            #expect(
                Hub.current.scheduler.fields.pointee.stacks.cached <= stacks + StackPool.warmLimit
                    / StackClass.standard.bytes)
            // A sanitizer uses memory of its own.
            if Sanitizer.active == .none { #expect(usedMemory() - memory < 1 << 20) }
            try server.drain(until: .never)
        }
    }

    /// Connects `count` times and closes at once, every other time with a reset.
    private func comeAndGo(_ count: Int, at server: StreamServer) throws {
        let listener = server.listeners[0]
        for number in 0..<count {
            let client = try Peer(connectedTo: listener.address)
            if number % 2 == 0 { client.reset() } else { client.close() }
            if number % 50 == 49 { try waitUntil { listener.queueIsEmpty } }
        }
        try waitUntil(within: .seconds(10)) { server.openConnections == 0 && listener.queueIsEmpty }
    }

    /// Physical memory of the process in bytes.
    private func usedMemory() -> Int {
        var text = [UInt8](repeating: 0, count: 200)
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let count = read(file, &text, text.count)
        let pages = String(decoding: text[..<count], as: UTF8.self).split(separator: " ")[1]
        return Int(pages)! * Int(getpagesize())
    }
}

struct StreamServerStopTests {
    // MARK: stopAccepting

    @Test func `stopAccepting serves what the kernel has queued, and refuses what comes later`() throws {
        try onHub {
            let server = try Server(echo)
            let open = try server.connect()
            let queued = try (0..<5).map { _ in try Peer(connectedTo: server.address) }
            server.stopAccepting()
            #expect(throws: SystemError(ECONNREFUSED)) { try Peer(connectedTo: server.address) }
            for client in [open] + queued {
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            #expect(server.openConnections == 6)
            server.stopAccepting()
            try server.stop()
        }
    }

    @Test func `stopAccepting serves what is queued behind a connection that was lost`() throws {
        try onHub {
            let server = try Server(echo)
            let queued = try (0..<3).map { _ in try Peer(connectedTo: server.address) }
            LibraryCall.accept.failing(2, with: ECONNABORTED) { server.stopAccepting() }
            for client in queued {
                client.write(pattern(10))
                #expect(try client.read(exactly: 10) == pattern(10))
            }
            try server.stop()
        }
    }

    @Test(arguments: [EMFILE, ECONNABORTED])
    func `stopAccepting ends even if accept keeps failing`(number: Int32) throws {
        try onHub {
            let server = try Server(echo)
            let queued = try Peer(connectedTo: server.address)
            LibraryCall.accept.failing(1_000_000, with: number) { server.stopAccepting() }
            #expect(try queued.ending() == .failed(SystemError(ECONNRESET)))
            try server.stop()
        }
    }

    @Test func `stopAccepting removes the path of a unix socket`() throws {
        try withTemporaryDirectory { directory in
            try onHub {
                let server = StreamServer(try Listener(on: .unix(path: "\(directory)/socket"))) { try echo($0) }
                server.start()
                server.stopAccepting()
                #expect(entries(of: directory) == [])
            }
        }
    }

    // MARK: drain

    @Test func `drain returns at once without connections`() throws {
        try onHub {
            let server = try Server(echo)
            try server.drain(until: .never)
            #expect(throws: SystemError(ECONNREFUSED)) { try Peer(connectedTo: server.address) }
        }
    }

    @Test func `drain returns as soon as the clients are done`() throws {
        try onHub {
            let server = try Server(echo)
            let clients = try (0..<3).map { _ in try server.connect() }
            let drain = spawn { try server.drain(until: .after(.seconds(60))) }
            try drain.waitUntilParked()
            for (number, client) in clients.enumerated() {
                #expect(!drain.hasEnded)
                client.write(pattern(10, seed: number))
                #expect(try client.read(exactly: 10) == pattern(10, seed: number))
                client.close()
            }
            try drain.value(until: .after(slack))
            #expect(server.failures == [])
        }
    }

    @Test func `at the deadline an idle client gets the end, and no reset for what it still sends`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try server.connect()
            let deadline = Deadline.now + .milliseconds(50)
            let drain = spawn { try server.drain(until: deadline) }
            #expect(try client.ending() == .end)
            #expect(deadline.hasPassed)
            client.write([1])
            for _ in 0..<5 {
                try Greenlet.sleep(for: .milliseconds(2))
                #expect(client.read() == .end)
            }
            #expect(!drain.hasEnded)
            client.close()
            try drain.value(until: .after(slack))
            #expect(server.failures == [])
        }
    }

    @Test func `a client that does not end its side is closed within the grace`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try server.connect()
            let begin = Deadline.now
            try server.drain(until: begin)
            #expect(Deadline.now - begin < StreamServer.grace)
            #expect(client.read() == .end)
            #expect(server.ends == [.done])
        }
    }

    @Test func `at the deadline what was received is answered to the last byte`() throws {
        try onHub {
            let server = try Server { connection in
                while let bytes = try connection.receive(upTo: 1000) {
                    try Greenlet.sleep(for: .milliseconds(2))
                    try connection.sendAll(bytes)
                }
            }
            let client = try server.connect()
            let bytes = pattern(50_000)
            #expect(client.write(bytes) == bytes.count)
            let drain = spawn { try server.drain(until: .now) }
            expectSame(try client.readToEnd(), bytes)
            client.close()
            try drain.value(until: .after(slack))
            #expect(server.failures == [])
        }
    }

    @Test func `a client that keeps sending cannot postpone the end`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try server.connect()
            let flood = spawn {
                while case let arrival = client.read(), arrival != .end, client.write(pattern(1000)) != 0 {
                    try Greenlet.sleep(for: .milliseconds(1))
                }
                while client.write(pattern(1000)) > 0 { try Greenlet.sleep(for: .milliseconds(1)) }
            }
            try server.drain(until: .after(.milliseconds(20)))
            #expect(server.openConnections == 0)
            try flood.value()
        }
    }

    @Test func `a client that does not read is cancelled after the grace`() throws {
        try onHub {
            var ended: NetError?
            let server = try Server { connection in
                setOption(connection.descriptor, SO_SNDBUF, to: 4096)
                do throws(NetError) {
                    try connection.sendAll(pattern(1 << 20))
                } catch {
                    ended = error
                    throw error
                }
            }
            let client = try Peer(connectedTo: server.address, receiveBuffer: 4096)
            try waitUntil { Hub.current.description.contains("to be writable") }
            let begin = Deadline.now
            try server.drain(until: begin)
            #expect(Deadline.now - begin >= StreamServer.grace)
            #expect(Deadline.now - begin < StreamServer.grace + slack)
            #expect(ended?.waitError == .cancelled)
            #expect(server.openConnections == 0)
            #expect(server.failures == [])
            client.close()
        }
    }

    @Test func `drain serves what is queued in the kernel`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try Peer(connectedTo: server.address)
            client.write(pattern(10))
            let drain = spawn { try server.drain(until: .now) }
            #expect(try client.readToEnd() == pattern(10))
            client.close()
            try drain.value(until: .after(slack))
        }
    }

    @Test func `a time limit ends the wait of drain, after which stop ends the rest`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try server.connect()
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(10)) { try server.drain(until: .never) } }
            #expect(server.openConnections == 1)
            try server.stop()
            #expect(server.openConnections == 0)
            client.close()
        }
    }

    // MARK: Draining handlers that keep connections

    @Test func `drain ends idle connections at once, and returns when the busy one has been answered`() throws {
        try onHub {
            var isAnswering = false
            let server = try Server { connection in
                try serveRequests(on: connection) { request in
                    isAnswering = true
                    if request == "slow" { try waitUntil { connection.isDraining } }
                    return "\(request) done"
                }
            }
            let (idle, answered, busy) = (try server.connect(), try server.connect(), try server.connect())
            answered.write(Array("one\n".utf8))
            #expect(try answered.read(exactly: 9) == Array("one done\n".utf8))
            isAnswering = false
            busy.write(Array("slow\n".utf8))
            try waitUntil { isAnswering }
            let begin = Deadline.now
            let drain = spawn { try server.drain(until: .after(.seconds(30))) }
            #expect(try idle.ending() == .end)
            #expect(try answered.ending() == .end)
            for client in [idle, answered] { client.close() }
            #expect(try busy.readToEnd() == Array("slow done\n".utf8))
            busy.close()
            try drain.value(until: .after(.seconds(20)))
            #expect(Deadline.now - begin < .seconds(20))
            #expect(server.failures == [])
            #expect(server.ends == [.done, .done, .done])
        }
    }

    @Test func `a request that has begun to come when its server is drained is received to its end and answered`()
        throws
    {
        try onHub {
            let server = try Server { connection in try serveRequests(on: connection) { "\($0) done" } }
            let (early, late) = (try server.connect(), try server.connect())
            early.write(Array("on".utf8))
            try Greenlet.sleep(for: .milliseconds(20))
            // The bytes have come, and no green thread was woken yet.
            late.write(Array("tw".utf8))
            let drain = spawn { try server.drain(until: .after(.seconds(30))) }
            for _ in 0..<10 { try Greenlet.sleep(for: .milliseconds(1)) }
            #expect(server.openConnections == 2)
            early.write(Array("e\n".utf8))
            late.write(Array("o\n".utf8))
            #expect(try early.readToEnd() == Array("one done\n".utf8))
            #expect(try late.readToEnd() == Array("two done\n".utf8))
            for client in [early, late] { client.close() }
            try drain.value(until: .after(.seconds(20)))
        }
    }

    @Test func `a connection that was queued when the drain began is draining from its start`() throws {
        try onHub {
            var states: [Bool] = []
            let server = try Server(limit: 1) { connection in
                states.append(connection.isDraining)
                try serveRequests(on: connection) { "\($0) done" }
            }
            let first = try server.connect()
            let waiting = try Peer(connectedTo: server.address)
            waiting.write(Array("one\n".utf8))
            #expect(!server.server.isDraining)
            let drain = spawn { try server.drain(until: .after(.seconds(30))) }
            #expect(try first.ending() == .end)
            first.close()
            #expect(try waiting.readToEnd() == Array("one done\n".utf8))
            waiting.close()
            try drain.value(until: .after(.seconds(20)))
            #expect(states == [false, true])
            #expect(server.server.isDraining)
        }
    }

    @Test func `a connection that is not idle is left alone until the deadline`() throws {
        try onHub {
            let server = try Server(echo)
            let client = try server.connect()
            let deadline = Deadline.after(.milliseconds(100))
            let drain = spawn { try server.drain(until: deadline) }
            try Greenlet.sleep(for: .milliseconds(20))
            client.write(pattern(10))
            #expect(try client.read(exactly: 10) == pattern(10))
            #expect(try client.ending() == .end)
            #expect(deadline.hasPassed)
            client.close()
            try drain.value(until: .after(slack))
        }
    }

    @Test func `an idle wait inside another one leaves the connection idle until the outer one ends`() throws {
        try onHub {
            let server = try Server { connection in
                try connection.withIdle {
                    connection.withIdle {}
                    while try connection.receive(upTo: 10) != nil {}
                }
            }
            let client = try server.connect()
            let deadline = Deadline.after(.seconds(20))
            let drain = spawn { try server.drain(until: deadline) }
            #expect(try client.ending() == .end)
            client.close()
            try drain.value(until: deadline)
            #expect(!deadline.hasPassed)
        }
    }

    @Test func `after finishReceiving, the stream stays at its end after an idle wait too`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            #expect(!connection.isDraining)
            connection.finishReceiving()
            #expect(try connection.withIdle { try connection.receive(upTo: 10) } == nil)
            #expect(try connection.receive(upTo: 10, until: .after(.seconds(10))) == nil)
            peer.close()
        }
    }

    // MARK: stop

    @Test func `stop cancels every connection and returns when all have unwound`() throws {
        try onHub {
            var unwound = 0
            let server = try Server { connection in
                defer { unwound += 1 }
                defer { shielded { try? Greenlet.sleep(for: .milliseconds(10)) } }
                try echo(connection)
            }
            let clients = try (0..<5).map { _ in try server.connect() }
            try server.stop()
            #expect(unwound == 5)
            #expect(server.openConnections == 0)
            #expect(server.failures == [])
            for client in clients { #expect(try client.ending() == .end) }
            #expect(throws: SystemError(ECONNREFUSED)) { try Peer(connectedTo: server.address) }
        }
    }

    @Test func `stop leaves the connections of another server alone`() throws {
        try onHub {
            let (server, other) = (try Server(echo), try Server(echo))
            let (client, otherClient) = (try server.connect(), try other.connect())
            try server.stop()
            #expect(try client.ending() == .end)
            otherClient.write(pattern(10))
            #expect(try otherClient.read(exactly: 10) == pattern(10))
            try other.stop()
        }
    }
}

private struct Refused: Error {}

/// Receives a line, answers it, and so on, until the client has gone or the server is drained, as HTTP keeps connections.
private func serveRequests(on connection: Connection, _ answer: (String) throws -> String) throws {
    while var request = try connection.withIdle({ try connection.receive(upTo: 100) }) {
        while request.last != UInt8(ascii: "\n") {
            guard let more = try connection.receive(upTo: 100) else { return }
            request += more
        }
        let line = String(decoding: request.dropLast(), as: UTF8.self)
        try connection.sendAll(Array("\(answer(line))\n".utf8))
    }
}

private func echo(_ connection: Connection) throws {
    while let bytes = try connection.receiveView() { try connection.sendAll(bytes) }
}

/// A started server on loopback, and its reports.
private final class Server {
    let server: StreamServer
    private let log = Log()

    private final class Log {
        var failures: [String] = []
        var events: [String] = []
        var ends: [ConnectionEnd] = []
    }

    init(
        limit: Int = .max, overflow: StreamServer.Overflow = .defer, _ handler: @escaping (Connection) throws -> Void
    ) throws {
        let log = log
        server = StreamServer(
            try Listener(on: loopback), limit: limit, overflow: overflow,
            onFailure: { connection, error in log.failures.append("\(connection.peer): \(error)") }, handler: handler)
        server.onAcceptEvent = { event, listener in
            switch event {
            case .skipped: log.events.append("skipped at \(listener.address)")
            case .refused(let peer, let why): log.events.append("refused \(peer): \(why)")
            default: break
            }
        }
        server.onEnd = { log.ends.append($0) }
        server.start()
    }

    var failures: [String] { log.failures }
    var events: [String] { log.events }
    var ends: [ConnectionEnd] { log.ends }
    var address: SocketAddress { server.listeners[0].address }
    var openConnections: Int { server.openConnections }
    func start() { server.start() }
    func stopAccepting() { server.stopAccepting() }
    func drain(until deadline: Deadline) throws { try server.drain(until: deadline) }
    func stop() throws { try server.stop() }

    /// Connects a client, and waits until the server serves it.
    func connect() throws -> Peer {
        let before = openConnections
        let client = try Peer(connectedTo: address)
        try waitUntil { openConnections > before }
        return client
    }

    /// When all clients have gone, `drain` must have nothing left to wait for.
    func stopsByItself() throws {
        try waitUntil { openConnections == 0 }
        try drain(until: .never)
    }
}

extension Listener {
    fileprivate var queueIsEmpty: Bool {
        var question = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&question, 1, 0) == 0
    }
}
