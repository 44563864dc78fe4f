import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The program that makes the children of an installed server.
    @Suite(.serialized, .enabled(if: Sanitizer.active != .thread, "a forked child gets no signals there"))
    struct ForkServerTests {
        @Test func `each client's process is the server's child and has the fork server's program`() throws {
            try withServer(.forkServer) { server in
                let forkServer = try #require(server.forkServer)
                let clients = try (0..<3).map { _ in try ServedClient(of: server) }
                for client in clients {
                    #expect(try server.program.status().children.contains(client.worker))
                    #expect(program(of: client.worker) == program(of: forkServer.pid))
                    client.connection.close()
                }
            }
        }

        @Test func `a server beside which no fork server lies makes the children itself`() throws {
            try withServer(.process) { server in
                let client = try ServedClient(of: server)
                #expect(program(of: client.worker) == program(of: server.program.pid))
                client.connection.close()
            }
        }

        /// What the fork server does not know.
        @Test(arguments: [
            ["--transform", "whoami"], ["--banner", "welcome"], ["--log-level", "trace"],
            ["--proxy-protocol", "optional"],
            ["--delay", "0.001"],
        ])
        func `a connection that is more than plain gets a process of the server's program`(options: [String]) throws {
            try withServer(.forkServer, options) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.sendAll("hello\n")
                _ = try client.receive(until: .after(.seconds(5)))
                let children = try server.program.status().children.filter { $0 != server.forkServer?.pid }
                #expect(children.map { program(of: $0) } == [program(of: server.program.pid)])
            }
        }

        @Test func `if the fork server is killed, its clients are served on and the server makes the next children`()
            throws
        {
            try withServer(.forkServer) { server in
                let old = try ServedClient(of: server)
                kill(try #require(server.forkServer).pid, SIGKILL)
                try server.program.waitOnHub(forLineContaining: "the fork server has ended")
                let new = try ServedClient(of: server)
                #expect(program(of: new.worker) == program(of: server.program.pid))
                for client in [old, new] {
                    try client.connection.expect("STILL HERE", to: "still here")
                    client.connection.close()
                }
                let counts = try server.waitForCounts { $0["open"] == 0 }
                #expect(counts["ended_done"] == 2)
                #expect(server.log.count { $0.contains("the fork server has ended") } == 1)
                try server.endWithoutForkServer()
            }
        }

        @Test func `a fork server that was killed runs again after seconds, and makes the next children`() throws {
            try withServer(.forkServer) { server in
                let first = try #require(server.forkServer)
                kill(first.pid, SIGKILL)
                let line = try server.program.waitOnHub(
                    forLineContaining: "the fork server was started again", within: .seconds(15))
                let second = try #require(server.program.status().children.first)
                #expect(line.contains("fork_server=\(second)"))
                let client = try server.connect()
                try client.expect("HELLO", to: "hello")
                let children = try server.program.status().children.filter { $0 != second }
                #expect(children.map { program(of: $0) } == [program(of: second)])
                client.close()
                let counts = try server.waitForCounts { $0["open"] == 0 }
                #expect(counts["ended_done"] == 1 && counts["bytes_out"] == 5)
            }
        }

        /// Each child's end interrupts the server's wait, which has its end all the same.
        @Test
        func
            `if the fork server does not answer, it is killed and the client is served, though children end meanwhile`()
            throws
        {
            try withServer(.forkServer) { server in
                kill(try #require(server.forkServer).pid, SIGSTOP)
                let client = try server.connect()
                let signals = spawn {
                    while true {
                        server.program.send(SIGCHLD)
                        try Greenlet.sleep(for: .seconds(1))
                    }
                }
                defer { signals.kill() }
                try client.expect("HELLO", to: "hello")
                client.close()
                try server.program.waitOnHub(forLineContaining: "the fork server has ended")
                try server.endWithoutForkServer()
            }
        }

        @Test func `a reload changes transform and timeouts of the next client`() throws {
            try withTemporaryPath("settings") { path in
                try write("transform = lower", to: path)
                try withServer(.forkServer, ["--config", path]) { server in
                    let old = try server.connect()
                    try old.expect("hello", to: "HELLO")
                    try write("transform = rot13\nidle-timeout = 0.3", to: path)
                    server.program.send(SIGHUP)
                    try server.program.waitOnHub(forLineContaining: "settings reloaded")
                    let new = try server.connect()
                    try new.expect("Uryyb", to: "Hello")
                    try #expect(new.receive(until: .after(.seconds(5))) == nil)
                    try old.expect("hello", to: "HELLO")
                    for client in [old, new] { client.close() }
                }
            }
        }

        @Test func `the log says why a child's connection has ended early`() throws {
            try withServer(.forkServer, ["--log-level", "debug", "--idle-timeout", "0.2"]) { server in
                let idle = try server.connect()
                try #expect(idle.receive(until: .after(.seconds(5))) == nil)
                idle.close()
                let late = try server.program.waitOnHub(forLineContaining: "connection_end=idle")
                #expect(late.contains("debug connection ended call=recv ") && late.contains(" reason=deadlinePassed"))
                let rude = try RawSocket(port: try server.port)
                rude.reset()
                let reset = try server.program.waitOnHub(forLineContaining: "connection_end=peer_gone")
                #expect(reset.contains("debug connection ended call=recv ") && reset.contains(" errno=ECONNRESET "))
                let counts = try server.waitForCounts { $0["open"] == 0 }
                #expect(counts["ended_idle"] == 1 && counts["ended_peer_gone"] == 1)
            }
        }

        @Test func `the children count reads and bytes as the server does`() throws {
            try withServer(.forkServer) { server in
                let client = try server.connect()
                for number in 1...3 { try client.expect("LINE \(number)", to: "line \(number)") }
                let counts = try server.waitForCounts { $0["bytes_out"] == 18 }
                #expect(counts["reads"] == 3 && counts["bytes_in"] == 18 && counts["open"] == 1)
                client.close()
            }
        }

        @Test
        func `the fork server has the standard descriptors and its channel, and ends with a server that is killed`()
            throws
        {
            let server = try Server.start(.forkServer)
            defer { server.program.end() }
            let forkServer = try #require(server.forkServer)
            #expect(forkServer.descriptors == 4, "\(forkServer.descriptorTargets)")
            server.program.send(SIGKILL)
            try server.program.waitForExit()
            #expect(eventually(within: .seconds(5)) { ProcessStatus(forkServer.pid) == nil })
        }

        private func program(of process: pid_t) -> String? { ProcessStatus.linkTarget("/proc/\(process)/exe") }
    }
}

extension Server {
    /// It has not the process that it had at its start.
    fileprivate func endWithoutForkServer() throws {
        let gone = try #require(forkServer).pid
        try #expect(eventuallyOnHub { try !program.status().children.contains(gone) })
        program.send(SIGTERM)
        try #expect(program.waitForExitOnHub() == .status(0))
    }
}
