import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The server's threads, descriptors and processor time, as the system sees them.
    @Suite(.serialized) struct SurroundingsTests {
        /// Fork is safe only in a process with one OS thread, and green threads need no more.
        @Test(arguments: ServerModel.testable(.green, .greenProcesses, .process, .forkServer, .processPool))
        func `the first process has one OS thread, with and without clients`(model: ServerModel) throws {
            try withServer(model) { server in
                #expect(server.idle.root.threads == 1)
                let clients = try inParallel(min(30, model.clientsAtOnce)) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                try #expect(server.program.status().threads == 1)
                if model.kind == .process {
                    for child in try server.program.tree().children { #expect(child.threads == 1) }
                }
                for client in clients { client.close() }
            }
        }

        @Test(arguments: ServerModel.testable(.thread, .process, .forkServer))
        func `each client has its own OS thread or process until it disconnects`(model: ServerModel) throws {
            try withServer(model) { server in
                for clients in [1, 5, 20] {
                    let connections = try inParallel(clients) { _ in try server.connect() }
                    try server.expectOnly(clients: clients)
                    for connection in connections { connection.close() }
                    try server.expectOnly(clients: 0)
                }
            }
        }

        @Test func `an OS thread whose client has ended serves the next client`() throws {
            try withServer(.thread) { server in
                for number in 0..<30 {
                    let client = try server.connect()
                    try client.expect("CLIENT \(number)", to: "client \(number)")
                    client.close()
                }
                let threads = try server.threadIDs()
                // The one that waited before may end meanwhile, and others begin: some stay, far fewer than clients.
                #expect((2...10).contains(threads.count))
                for number in 0..<30 {
                    let client = try server.connect()
                    try client.expect("CLIENT \(number)", to: "client \(number)")
                    client.close()
                }
                try #expect(server.threadIDs().subtracting(threads).count < 10)
            }
        }

        @Test func `after a burst no more OS threads than the bound wait, and after a while one`() throws {
            try withServer(.thread) { server in
                let clients = try inParallel(200) { _ in try server.connect() }
                for client in clients { try client.expect("HELLO", to: "hello") }
                try #expect(server.program.status().threads > 200)
                for client in clients { client.close() }
                let most = server.idle.threads + server.model.mostKeptThreads
                try #expect(eventuallyOnHub { try server.program.status().threads <= most })
                try #expect(
                    eventuallyOnHub(within: .seconds(20)) {
                        try server.program.status().threads == server.idle.threads
                    })
                let last = try server.connect()
                try last.expect("LAST", to: "last")
                last.close()
            }
        }

        /// A child that keeps another client's descriptor would keep that client from seeing its end.
        @Test(arguments: ServerModel.testable(.process, .forkServer))
        func `a child process has no descriptors but the standard ones and its client's`(model: ServerModel) throws {
            try withServer(model) { server in
                let clients = try inParallel(5) { _ in try server.connect() }
                try server.expectOnly(clients: 5)
                for child in try server.descriptorsOfChildren().keys {
                    // A child that was just forked has not closed its parent's descriptors yet.
                    let hasItsOwn = try eventually { try #require(ProcessStatus(child)).descriptors == 4 }
                    let targets = ProcessStatus(child)?.descriptorTargets ?? []
                    #expect(hasItsOwn, "\(targets)")
                }
                for client in clients { client.close() }
            }
        }

        @Test(arguments: ServerModel.testable(.process, .forkServer, .greenProcesses, .processPool))
        func `when the server is killed, its children end too`(model: ServerModel) throws {
            let server = try Server.start(model)
            defer { server.program.end() }
            let children = try onHub {
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                let children = try server.program.status().children
                server.program.send(SIGKILL)
                try server.program.waitForExit()
                return children
            }
            #expect(eventually(within: .seconds(5)) { children.allSatisfy { ProcessStatus($0) == nil } })
        }

        @Test(arguments: [nil, "1", "2"])
        func `the loop is epoll, whatever LIBEV_FLAGS says`(flags: String?) throws {
            try withServer(adjust: { $0.environment["LIBEV_FLAGS"] = flags }) { server in
                try #expect(server.program.status().descriptorTargets.contains("anon_inode:[eventpoll]"))
                try #expect(server.answer(to: "epoll") == "EPOLL")
            }
        }

        @Test func `an idle server with clients uses no processor time`() throws {
            try withServer { server in
                let clients = try inParallel(100) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                let before = try server.program.status().processorTime
                try Greenlet.sleep(for: .seconds(1))
                // The kernel counts in steps of 10 ms.
                try #expect(server.program.status().processorTime - before <= .milliseconds(10))
                for client in clients { client.close() }
            }
        }

        @Test(arguments: ServerModel.all)
        func `a stopped server that is continued serves on`(model: ServerModel) throws {
            try withServer(model) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("BEFORE", to: "before")
                let processes = try server.program.processes()
                for _ in 0..<20 {
                    for process in processes { kill(process, SIGSTOP) }
                    try client.sendAll(Array("meanwhile".utf8))
                    for process in processes { kill(process, SIGCONT) }
                    try #expect(client.receive(exactly: 9) == Array("MEANWHILE".utf8))
                }
            }
        }

        @Test func `signals without a meaning to the server do not disturb it`() throws {
            try withServer { server in
                let client = try server.connect()
                defer { client.close() }
                for number in 0..<20 {
                    for signal in [SIGPIPE, SIGWINCH, SIGCHLD, SIGURG] { server.program.send(signal) }
                    try client.expect("LINE \(number)", to: "line \(number)")
                }
            }
        }
    }
}

extension Server {
    /// Of all OS threads of the first process.
    fileprivate func threadIDs() throws -> Set<Int> {
        let directory = try #require(opendir("/proc/\(program.pid)/task"))
        defer { closedir(directory) }
        var ids: Set<Int> = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let id = Int(name) { ids.insert(id) }
        }
        return ids
    }
}
