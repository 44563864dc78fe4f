import Glibc
import GreenNet
import TestSupport
import Testing

/// The examples that call libcurl and libssh2, against servers of this machine: `make test-libraries`.
@Suite(
    .enabled(if: getenv("TEST_LIBRARIES").map { String(cString: $0) } == "all", "make test-libraries runs it"),
    .serialized)
struct CourseLibraryTests {
    // MARK: Crawler

    @Test
    func
        `a crawler gets three pages, and tells the one that is not there, the one that hangs and the one it may not get`()
        throws
    {
        let pages = [
            "/": "<a href=\"/a\">a</a> <a href='x'>x</a> <a href=\"b#part\">b</a> <a href=\"/private/c\">c</a>",
            "/a": "<a href=\"/\">back</a> <a href=\"/none\">none</a> <a href=\"http://localhost:1/\">elsewhere</a>",
            "/b": "<a href=\"/hangs\">hangs</a> <a href=\"/moved\">moved</a> <a href=\"/private/open\">open</a>",
            "/robots.txt":
                "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /private\nAllow: /private/o*n$ # one\n",
            "/private/open": "open", "/private/c": "secret", "/target": "moved here",
        ]
        try withPages(pages) { server in
            let result = try Program.run(Program.built("Crawler", ["1", "\(server.url)/"]))
            let lines = Set(result.output.replacing(server.url, with: "").split(separator: "\n"))
            #expect(result.exit == .status(EX_UNAVAILABLE) && result.error == "", "\(result)")
            let expected = [
                "\(pages["/"]!.utf8.count) bytes received from /", "\(pages["/a"]!.utf8.count) bytes received from /a",
                "\(pages["/b"]!.utf8.count) bytes received from /b", "4 bytes received from /private/open",
                "301: /moved leads to /target", "10 bytes received from /target", "404: /none",
                "failed: /hangs: timed out after 1 second", "robots.txt forbids: /private/c",
                "5 pages, 2 failures",
            ]
            for line in expected { #expect(lines.contains(Substring(line)), "\(line) is not in:\n\(result.output)") }
            #expect(!result.output.contains("localhost"))
            #expect(server.mostAtOnce <= 3)
            // Each page once.
            #expect(server.requests.count == Set(server.requests).count)
        }
    }

    @Test func `a page that is too long, and a server that is not there, are failures that are told`() throws {
        let long = String(repeating: "x", count: 1 << 20)
        try withPages(["/": long, "/longer": long + "x"]) { server in
            let urls = ["\(server.url)/", "\(server.url)/longer", "http://127.0.0.1:1/"]
            let result = try Program.run(Program.built("Crawler", ["5"] + urls))
            #expect(result.output.contains("\(1 << 20) bytes received from \(server.url)/\n"))
            #expect(result.output.contains("failed: \(server.url)/longer: the body is too long\n"))
            // Its robots.txt can't be asked for, so nothing of it may be.
            #expect(result.output.contains("robots.txt forbids: http://127.0.0.1:1/\n"))
            #expect(result.exit == .status(EX_UNAVAILABLE), "\(result)")
        }
    }

    @Test func `a crawler checks the certificate of its server`() throws {
        try LocalServer.with(.https) { server in
            let url = "https://localhost:\(server.port)/"
            var launch = try Program.built("Crawler", ["5", url])
            launch.environment["CURL_CA_BUNDLE"] = "\(server.directory)/certificate"
            let known = try Program.run(launch)
            #expect(known.output.contains("bytes received from \(url)"), "\(known)")
            #expect(known.exit == .status(0))
            launch.environment["CURL_CA_BUNDLE"] = "/etc/ssl/certs/ca-certificates.crt"
            let unknown = try Program.run(launch)
            #expect(unknown.output.contains("SSL certificate problem"), "\(unknown)")
            #expect(!unknown.output.contains("bytes received"))
        }
    }

    // MARK: ImageDownloads

    @Test func `images come over redirects to files that are whole, and what is not there leaves none`() throws {
        let image = String(decoding: (0..<200_000).map { UInt8($0 % 128) }, as: UTF8.self)
        try withPages(["/a.png": image, "/target": "small"]) { server in
            try withTemporaryDirectory { directory in
                let urls = ["a.png", "moved", "none.png", "hangs"].dropLast().map { "\(server.url)/\($0)" }
                let result = try Program.run(Program.built("ImageDownloads", [directory] + urls))
                #expect(result.exit == .status(EX_UNAVAILABLE), "\(result)")
                #expect(result.error == "404: \(server.url)/none.png\n")
                #expect(entries(of: directory) == ["a.png", "moved"])
                try onHub {
                    try #expect(readFile("\(directory)/a.png") == Array(image.utf8))
                    try #expect(readFile("\(directory)/moved") == Array("small".utf8))
                }
                let elsewhere = try Program.run(Program.built("ImageDownloads", ["\(directory)/none"] + urls))
                #expect(elsewhere.exit == .status(EX_CANTCREAT), "\(elsewhere)")
                #expect(elsewhere.error.contains("no such file or directory"))
            }
        }
    }

    // MARK: Fleet

    @Test(arguments: ["ssh", "libssh2"])
    func `a command runs on hosts whose keys are known, and each failure is told`(way: String) throws {
        try LocalServer.with(.ssh) { server in
            let fleet = try FleetOfOne(server, way)
            let good = try fleet.run("5", "echo one; echo two >&2", at: ["", ""])
            #expect(good.exit == .status(0), "\(good)")
            let lines = good.output.split(separator: "\n")
            #expect(lines.count { $0.hasSuffix(": status 0") } == 2)
            #expect(lines.count { $0 == "    one" } == 2 && lines.count { $0 == "    two" } == 2)
            #expect(lines.last == "2 hosts, 0 failures")

            let three = try fleet.run("5", "exit 3", at: [""])
            #expect(three.output.contains(": status 3\n") && three.exit == .status(EX_UNAVAILABLE), "\(three)")
            let late = try fleet.run("1", "sleep 100", at: [""])
            #expect(late.output.contains(": failed: timed out after 1 second\n"), "\(late)")

            try write("", to: "\(server.directory)/known")
            let unknown = try fleet.run("5", "echo one", at: [""])
            #expect(!unknown.output.contains("    one") && unknown.exit == .status(EX_UNAVAILABLE), "\(unknown)")
            #expect(unknown.output.contains(way == "ssh" ? "Host key verification failed" : "is not in"), "\(unknown)")
            let another = try readText("\(server.directory)/user.pub")
            try write("[127.0.0.1]:\(server.port) \(another)", to: "\(server.directory)/known")
            let changed = try fleet.run("5", "echo one", at: [""])
            #expect(!changed.output.contains("    one") && changed.exit == .status(EX_UNAVAILABLE), "\(changed)")
        }
    }

    @Test(arguments: ["ssh", "libssh2"])
    func `ten hosts at a time run a command, though each takes half a second`(way: String) throws {
        try LocalServer.with(.ssh) { server in
            let start = Deadline.now
            let result = try FleetOfOne(server, way).run(
                "20", "sleep 0.5; echo done", at: Array(repeating: "", count: 20))
            #expect(result.output.split(separator: "\n").count { $0 == "    done" } == 20, "\(result)")
            // One after the other, the commands alone take ten seconds.
            #expect(Deadline.now - start < .seconds(8))
        }
    }

    private func readText(_ path: String) throws -> String {
        try onHub { String(decoding: try readFile(path), as: UTF8.self) }
    }

    // MARK: -

    /// One sshd in the place of many.
    private struct FleetOfOne {
        let server: LocalServer
        let way: String

        init(_ server: LocalServer, _ way: String) throws {
            (self.server, self.way) = (server, way)
            let key = try onHub { String(decoding: try readFile("\(server.directory)/host.pub"), as: UTF8.self) }
            try write("[127.0.0.1]:\(server.port) \(key)", to: "\(server.directory)/known")
        }

        func run(
            _ seconds: String, _ command: String, at hosts: [String]
        ) throws -> (
            exit: Program.Exit, output: String, error: String
        ) {
            let user = String(cString: getpwuid(geteuid())!.pointee.pw_name)
            let names = hosts.map { "\(user)@127.0.0.1\($0):\(server.port)" }
            var launch = try Program.built("Fleet", [way, seconds, command] + names)
            launch.environment["FLEET_KEY"] = "\(server.directory)/user"
            launch.environment["FLEET_KNOWN_HOSTS"] = "\(server.directory)/known"
            return try Program.run(launch, within: .seconds(40))
        }
    }
}

/// Serves pages on an OS thread of its own, and remembers what was asked for.
private final class PageServer: @unchecked Sendable {
    // Unchecked: written by the hub's OS thread, and read by others after the programs that asked have ended.
    private(set) var requests: [String] = []
    private(set) var mostAtOnce = 0
    private var underWay = 0
    fileprivate(set) var url = ""
    private let pages: [String: String]

    init(_ pages: [String: String]) { self.pages = pages }

    func answer(_ connection: Connection) throws {
        guard let line = try LineReader(connection).next() else { return }
        let path = String(line.split(separator: " ").dropFirst().first ?? "/")
        requests.append(path)
        underWay += 1
        mostAtOnce = max(mostAtOnce, underWay)
        defer { underWay -= 1 }
        try Greenlet.sleep(for: .milliseconds(20))
        let close = "Connection: close\r\n"
        switch path {
        case "/hangs": try Greenlet.sleep(for: .seconds(30))
        case "/moved":
            try connection.sendAll("HTTP/1.1 301 Moved\r\nLocation: /target\r\n\(close)Content-Length: 0\r\n\r\n")
        default:
            let status = pages[path] == nil ? "404 Not Found" : "200 OK"
            let body = pages[path] ?? "nothing"
            try connection.sendAll("HTTP/1.1 \(status)\r\n\(close)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
    }
}

private func withPages(_ pages: [String: String], _ body: @escaping @Sendable (PageServer) throws -> Void) throws {
    try onHub {
        let state = PageServer(pages)
        let server = try StreamServer(on: .loopback(port: 0)) { try state.answer($0) }
        server.start()
        state.url = "http://\(server.listeners[0].address)"
        try Hub.current.offload { try body(state) }
        try server.stop()
    }
}
