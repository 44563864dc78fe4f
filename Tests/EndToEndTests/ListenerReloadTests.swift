import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

extension EndToEnd {
    /// HUP, where the places to listen at have changed, or who is served.
    @Suite(.serialized) struct ListenerReloadTests {
        /// A server whose places are in its file alone, with a directory for unix sockets.
        private func withPlaces(
            _ model: ServerModel, _ text: @escaping @Sendable (_ directory: String) -> String,
            _ body:
                @escaping @Sendable (
                    Server, _ directory: String, _ rewrite: @Sendable (String) throws -> Void
                ) throws -> Void
        ) throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/settings"
                try write(text(directory), to: path)
                try withServer(model, ["--config", path]) { launch in
                    let port = launch.arguments.firstIndex(of: "--port")!
                    launch.arguments.removeSubrange(port...(port + 1))
                } _: { server in
                    try body(server, directory) { text in
                        try write(text, to: path)
                        server.program.send(SIGHUP)
                    }
                }
            }
        }

        private func answer(_ address: SocketAddress, to text: String) throws -> String {
            let connection = try Connection.connect(to: address, until: .after(.patient(10)))
            defer { connection.close() }
            try connection.sendAll(text)
            try connection.shutdownSending()
            return String(decoding: try connection.receiveToEnd(), as: UTF8.self)
        }

        private func isRefused(_ address: SocketAddress) throws -> Bool {
            do throws(NetError) {
                try Connection.connect(to: address).close()
                return false
            } catch {
                return [ENOENT, ECONNREFUSED].contains(error.errno?.code)
            }
        }

        private func freePort() throws -> UInt16 {
            let listener = try Listener(on: .loopback(port: 0))
            defer { listener.close() }
            return listener.address.port!
        }

        @Test func `a reload that is refused changes nothing about the places that are kept`() throws {
            let begin = { @Sendable (path: String) in "listen = unix:\(path)/a?unix-socket-mode=0600" }
            try withPlaces(.green, begin) { server, path, rewrite in
                let taken = try Datagram(bind: .loopback(port: 0))
                defer { taken.close() }
                try rewrite("listen = unix:\(path)/a?unix-socket-mode=0666,udp:\(taken.address)")
                try server.program.waitOnHub(forLineContaining: "not reloaded")
                var status = stat()
                #expect(stat("\(path)/a", &status) == 0 && status.st_mode & 0o777 == 0o600)
                try rewrite("listen = unix:\(path)/a?unix-socket-mode=0666")
                try server.program.waitOnHub(forLineContaining: "settings reloaded")
                #expect(stat("\(path)/a", &status) == 0 && status.st_mode & 0o777 == 0o666)
            }
        }

        @Test(arguments: [ServerModel.green, .thread])
        func `a client in the queue of a place that goes is served as it is there`(model: ServerModel) throws {
            let begin = { @Sendable (path: String) in
                "max-connections = 1\nlisten = unix:\(path)/a,unix:\(path)/b?transform=lower"
            }
            try withPlaces(model, begin) { server, path, rewrite in
                let first = try Connection.connect(to: .unix(path: "\(path)/a"))
                try first.expect("ONE", to: "one")
                let queued = try Connection.connect(to: .unix(path: "\(path)/b"))
                try rewrite("max-connections = 1\nlisten = unix:\(path)/a")
                try server.program.waitOnHub(forLineContaining: "settings reloaded")
                first.close()
                try queued.expect("queued", to: "QUEUED")
                queued.close()
                // It has one descriptor less than at first.
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        @Test(arguments: ServerModel.all)
        func `a new place is served, one that is gone refuses, and its connections go on`(model: ServerModel) throws {
            let begin = { @Sendable (path: String) in "listen = unix:\(path)/a,unix:\(path)/b?transform=echo" }
            try withPlaces(model, begin) { server, path, rewrite in
                let (a, b) = (SocketAddress.unix(path: "\(path)/a"), SocketAddress.unix(path: "\(path)/b"))
                let c = SocketAddress.unix(path: "\(path)/c")
                let (gone, kept) = (try Connection.connect(to: a), try Connection.connect(to: b))
                defer {
                    gone.close()
                    kept.close()
                }
                try gone.expect("ONE", to: "one")
                try kept.expect("one", to: "one")
                try rewrite("listen = unix:\(path)/c?transform=lower,unix:\(path)/b?transform=rot13")
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=listen need_restart=none")
                try server.program.waitOnHub(forLineContaining: "listening on \(path)/c")
                try server.program.waitOnHub(forLineContaining: "no longer listening on address=\(path)/a")
                try gone.expect("TWO", to: "two")
                try kept.expect("two", to: "two")
                try #expect(answer(c, to: "New") == "new")
                try #expect(answer(b, to: "new") == "arj")
                // A worker that is busy closes it a moment later.
                try #expect(eventuallyOnHub { try isRefused(a) })
                #expect(access("\(path)/a", F_OK) != 0)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a port changes and changes back, and clients of another place notice nothing`(model: ServerModel) throws {
            let (kept, other) = (try onHub { try freePort() }, try onHub { try freePort() })
            try withPlaces(model) { _ in
                "listen = tcp:127.0.0.1:\(kept)"
            } _: { server, _, rewrite in
                let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
                count.initialize(to: 0)
                let clients = (0..<2).map { _ in
                    spawn {
                        while true {
                            let answer = try answer(.loopback(port: kept), to: "hello")
                            if answer != "HELLO" { throw Unexpected("'\(answer)' came, not the answer") }
                            count.pointee += 1
                        }
                    }
                }
                defer {
                    for client in clients { client.kill() }
                    for client in clients { _ = try? client.value() }
                    count.deallocate()
                }
                for round in 1...5 {
                    try rewrite("listen = tcp:127.0.0.1:\(kept),tcp:127.0.0.1:\(other)?transform=echo")
                    try server.program.waitOnHub(forLineContaining: "settings reloaded", count: 2 * round - 1)
                    try #expect(answer(.loopback(port: other), to: "hello") == "hello")
                    try rewrite("listen = tcp:127.0.0.1:\(kept)")
                    try server.program.waitOnHub(forLineContaining: "settings reloaded", count: 2 * round)
                    try #expect(eventuallyOnHub { try isRefused(.loopback(port: other)) })
                }
                let before = count.pointee
                try #require(eventuallyOnHub { count.pointee > before + 5 })
                for client in clients { #expect(!client.hasEnded) }
            }
        }

        @Test(arguments: ServerModel.all)
        func `where one place can't be had, all stay as they were`(model: ServerModel) throws {
            let taken = try ListeningSocket(on: .loopback(port: 0), backlog: 1)
            defer { taken.close() }
            try withPlaces(model) {
                "listen = unix:\($0)/a\ndrain-timeout = 9"
            } _: { server, path, rewrite in
                try rewrite("listen = unix:\(path)/b,tcp:\(taken.address)\ndrain-timeout = 8")
                let line = try server.program.waitOnHub(forLineContaining: "settings not reloaded")
                #expect(line.contains("\(taken.address)") && line.contains("EADDRINUSE"))
                try #expect(answer(.unix(path: "\(path)/a"), to: "still") == "STILL")
                #expect(access("\(path)/b", F_OK) != 0)
                try rewrite("listen = unix:\(path)/a\ndrain-timeout = 8")
                try server.program.waitOnHub(
                    forLineContaining: "settings reloaded changed=drain-timeout need_restart=none")
            }
        }

        @Test(arguments: ServerModel.all)
        func `who is served, proxies and records change for new connections`(model: ServerModel) throws {
            try withPlaces(model) {
                "listen = unix:\($0)/a"
            } _: { server, path, rewrite in
                let place = SocketAddress.unix(path: "\(path)/a")
                let listen = "listen = unix:\(path)/a\n"
                try #expect(answer(place, to: "open") == "OPEN")
                try rewrite(listen + "deny = unix")
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=deny need_restart=none")
                for _ in 0..<8 { #expect((try? answer(place, to: "closed")) ?? "" == "") }
                try rewrite(listen + "proxy-protocol = required")
                try server.program.waitOnHub(
                    forLineContaining: "settings reloaded changed=\"deny, proxy-protocol\" need_restart=none")
                for _ in 0..<8 {
                    let ends = ProxyHeader.Ends(
                        source: try #require(SocketAddress(ip: "192.0.2.1", port: 8)), destination: .loopback(port: 2))
                    let header = String(decoding: ProxyHeader(.v1, ends).bytes, as: UTF8.self)
                    try #expect(answer(place, to: header + "named") == "NAMED")
                    #expect((try? answer(place, to: "unnamed, and no header")) ?? "" == "")
                }
                try rewrite(listen)
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=proxy-protocol")
                for _ in 0..<8 { try #expect(answer(place, to: "again") == "AGAIN") }
            }
        }

        @Test(arguments: ServerModel.all)
        func `records go to another file, and then nowhere`(model: ServerModel) throws {
            try withPlaces(model) {
                "listen = unix:\($0)/a\nrecord = \($0)/one"
            } _: { server, path, rewrite in
                func records(_ name: String) -> Int {
                    ProcessStatus.contents(of: "\(path)/\(name)")?.split(separator: "\n").count ?? 0
                }
                let place = SocketAddress.unix(path: "\(path)/a")
                try #expect(answer(place, to: "one") == "ONE")
                try #expect(eventuallyOnHub { records("one") == 1 })
                try rewrite("listen = unix:\(path)/a\nrecord = \(path)/two")
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=record")
                for number in 1...4 {
                    try #expect(answer(place, to: "two") == "TWO")
                    try #expect(eventuallyOnHub { records("two") == number })
                }
                try rewrite("listen = unix:\(path)/a")
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=record", count: 2)
                for _ in 0..<4 { try #expect(answer(place, to: "none") == "NONE") }
                #expect(records("one") == 1 && records("two") == 4)
                // A worker has kept the descriptor of its file, or given it back.
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        @Test func `places of datagrams change too`() throws {
            let (one, two) = (try onHub { try freePort() }, try onHub { try freePort() })
            try withPlaces(.green) {
                "listen = unix:\($0)/a,udp:127.0.0.1:\(one)"
            } _: { server, path, rewrite in
                func ask(_ port: UInt16) throws -> String? {
                    let socket = try Datagram(bind: .loopback(port: 0))
                    defer { socket.close() }
                    try socket.send("Abc", to: .loopback(port: port))
                    // The kernel reports a port that nothing is bound to only to a connected socket.
                    let answer = try? socket.receive(upTo: 10, until: .after(.milliseconds(500)))
                    return answer.map { String(decoding: $0.bytes, as: UTF8.self) }
                }
                try #expect(ask(one) == "ABC")
                try rewrite("listen = unix:\(path)/a,udp:127.0.0.1:\(two)?transform=lower")
                try server.program.waitOnHub(forLineContaining: "settings reloaded changed=listen")
                try #expect(ask(two) == "abc")
                try #expect(ask(one) == nil)
            }
        }
    }
}
