import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client compare`.  Its servers fork, of which ThreadSanitizer makes too much.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none)) struct CompareTests {
        private static func run(_ arguments: String...) throws -> (exit: Program.Exit, output: String, error: String) {
            let few = ["compare", "--rounds", "1", "--duration", "0.1"]
            return try Program.run(Program.built("echo-client", few + arguments), within: .seconds(60))
        }

        @Test func `every model is measured, and one that can't serve so many says why`() throws {
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

        @Test func `the page has all in one file, and the JSON all rounds`() throws {
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

        @Test func `a server that does not come up is named`() throws {
            let result = try CompareTests.run(
                "--only", "bad", "--connections", "1", "--against", "bad=echo no such luck >&2")
            #expect(result.exit == .status(1))
            #expect(result.error == "echo-client: bad does not begin to listen: no such luck\n")
        }

        @Test func `interrupted, it takes its servers along`() throws {
            let program = try Program(Program.built("echo-client", ["compare", "--duration", "60", "--only", "green"]))
            defer { program.end() }
            // A server, and a process of the load.
            #expect(try eventually { try program.status().children.count == 2 })
            let children = try program.status().children
            program.send(SIGINT)
            #expect(try program.waitForExit() == .status(130))
            #expect(children.allSatisfy { ProcessStatus($0) == nil }, "a child is left")
        }
    }
}
