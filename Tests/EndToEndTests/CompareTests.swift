import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client compare`.  Its servers fork, which ThreadSanitizer handles badly.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none)) struct CompareTests {
        private static func run(_ arguments: String...) throws -> (exit: Program.Exit, output: String, error: String) {
            let few = ["compare", "--rounds", "1", "--duration", "0.1"]
            return try Program.run(Program.built("echo-client", few + arguments), within: .seconds(60))
        }

        @Test func `every model is measured, and a model that cannot serve the number of connections says why`() throws
        {
            let result = try CompareTests.run("--connections", "1,6", "--pool-size", "4", "--workers", "2")
            #expect(result.exit == .status(0))
            #expect(result.error == "")
            let blocks = result.output.split(separator: "6 connections")
            #expect(blocks.count == 2)
            for model in ["green ", "green, 2 workers ", "thread ", "thread pool ", "process ", "process pool "] {
                #expect(blocks.allSatisfy { $0.contains("  \(model)") }, "\(model) in \(result.output)")
            }
            #expect(!blocks[0].contains("can't"))
            #expect(blocks[1].contains("thread pool can't: serves 4 at once"))
            #expect(blocks[1].contains("process pool can't: serves 4 at once"))
            #expect(result.output.contains("echo-client compare --rounds 1"))
        }

        @Test func `connections beyond the descriptor limit are not tried`() throws {
            var launch = try Program.built(
                "echo-client",
                ["compare", "--rounds", "1", "--duration", "0.1", "--only", "green", "--connections", "500"])
            launch.setup = "ulimit -n 500"
            let result = try Program.run(launch, within: .seconds(10))
            #expect(result.exit == .status(0))
            #expect(result.output.contains("green can't: serves 436 at once at a descriptor limit of 500"))
        }

        @Test func `the page is one file, and the JSON has all rounds`() throws {
            try withTemporaryPath("page.html") { page in
                let server = try Program.built("echo-server").path
                let result = try CompareTests.run(
                    "--only", "green,other", "--connections", "2", "--against", "other=\(server) --port {port}",
                    "--html", page,
                    "--json")
                #expect(result.exit == .status(0))
                #expect(result.output.hasPrefix("{\"machine\":"))
                #expect(result.output.contains("\"name\":\"other\""))
                #expect(result.output.ranges(of: "\"rounds\":[").count == 2)
                let html = try #require(ProcessStatus.contents(of: page))
                #expect(html.hasSuffix("</html>\n"))
                #expect(html.ranges(of: "<figure>").count == 6)
                for other in ["http:", "https:", "<script", "src=", "url(", "@import"] {
                    #expect(!html.contains(other), "the page refers to something else: \(other)")
                }
            }
        }

        @Test func `a server that does not start is named`() throws {
            let result = try CompareTests.run(
                "--only", "bad", "--connections", "1", "--against", "bad=echo no such luck >&2")
            #expect(result.exit == .status(1))
            #expect(result.error == "echo-client: bad did not start to listen: no such luck\n")
        }

        static let signals = [SIGHUP, SIGKILL, SIGPIPE, SIGINT, SIGTERM]

        /// Expects that all processes that the program has started have ended, whether they are its children or not.
        private func expectNothingLeft(
            _ program: Program, _ marked: MarkedProcesses, after signal: Int32,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            defer { marked.end() }
            program.send(signal)
            let start = Deadline.now
            #expect(try program.waitForExit() == .signal(signal), sourceLocation: sourceLocation)
            let time = Deadline.now - start
            #expect(time < .seconds(1) + slack, sourceLocation: sourceLocation)
            #expect(
                eventually(within: .seconds(10)) { marked.all.isEmpty },
                "\(marked.all) are left after signal \(signal)",
                sourceLocation: sourceLocation)
        }

        private func start(_ arguments: [String]) throws -> (Program, MarkedProcesses) {
            let marked = MarkedProcesses()
            var launch = try Program.built("echo-client", arguments)
            marked.put(on: &launch)
            return (try Program(launch), marked)
        }

        @Test(arguments: signals)
        func `whenever and however compare ends, no process that it started is left`(signal: Int32) throws {
            let compare = ["compare", "--rounds", "9", "--duration", "0.05", "--connections", "1", "--only"]
            // The client itself, a server, a load, and the workers of a pool.
            for count in [0, 1, 2, 3, 10, 40] {
                let (program, marked) = try start(compare + ["green,process,process pool"])
                defer { program.end() }
                #expect(eventually { marked.all.count >= count })
                try expectNothingLeft(program, marked, after: signal)
            }
            // Here all of them are sure to run.
            let (program, marked) = try start([
                "compare", "--duration", "60", "--only", "process pool", "--pool-size", "4",
            ])
            defer { program.end() }
            #expect(eventually { marked.all.count == 7 }, "\(marked.all)")
            try expectNothingLeft(program, marked, after: signal)
        }

        @Test(arguments: signals)
        func `however compare ends, no process of another server's command is left`(
            signal: Int32
        ) throws {
            // A child, a process whose parent has ended, and one in a session of its own that ignores TERM.
            let command = "other=sleep 1000 & (sleep 1000 &) ; setsid sh -c 'trap \"\" TERM; sleep 1000; :' & wait"
            let (program, marked) = try start(["compare", "--only", "other", "--against", command])
            defer { program.end() }
            // The attendant, three shells at most, and the processes that these wait for.
            #expect(eventually { marked.all.count >= 7 }, "\(marked.all)")
            try expectNothingLeft(program, marked, after: signal)
        }

        @Test(arguments: signals)
        func `however load or workload ends, no process that it started is left`(signal: Int32) throws {
            try withServer { server in
                let (load, loaded) = try start([
                    "load", "127.0.0.1", "\(server.port)", "--processes", "2", "--duration", "60",
                ])
                defer { load.end() }
                let (work, worked) = try start(["workload", "--work", "sleep", "--rounds", "100", "--tasks", "5"])
                defer { work.end() }
                #expect(eventually { loaded.all.count == 3 && worked.all.count >= 3 }, "\(loaded.all) \(worked.all)")
                try expectNothingLeft(work, worked, after: signal)
                // At the first INT or TERM a load reports what it has measured.
                if signal == SIGINT || signal == SIGTERM {
                    load.send(signal)
                    #expect(try load.waitForExit() == .status(128 + signal))
                    #expect(eventually(within: .seconds(10)) { loaded.all.isEmpty })
                } else {
                    try expectNothingLeft(load, loaded, after: signal)
                }
            }
        }
    }
}
