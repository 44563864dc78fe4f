import Glibc
import GreenNet
import TestSupport
import Testing

/// Unmodified client libraries against real servers: `make test-libraries` runs all of these, and `make test` those with Redis.
@Suite(.enabled(if: selection != nil, "make test-libraries runs it"), .serialized)
struct LibraryTests {
    @Test func `fifty calls of hiredis wait at the same time`() throws {
        try LocalServer.with(.redis) { server in
            let figures = try run("redis", 50, ["\(server.port)", "BLPOP nothing 0.5"])
            expectParallel(figures)
        }
    }

    @Test func `calls of hiredis that are killed or late leave nothing behind`() throws {
        try LocalServer.with(.redis) { server in
            try disturb("redis", 100, ["\(server.port)", "BLPOP nothing 0.01"])
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `fifty transfers of libcurl wait at the same time`() throws {
        try withHTTPServer { address in expectParallel(try run("curl", 50, ["http://\(address)/500"]), answer: "hello")
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `a thousand transfers of libcurl run at the same time`() throws {
        try withHTTPServer { address in
            let figures = try run("curl", 1000, ["http://\(address)/500"])
            #expect(figures.failures == 0)
            #expect(figures.took < 60)
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `transfers of libcurl that are killed, late or cut off leave nothing behind`() throws {
        try withHTTPServer { address in try disturb("curl", 1000, ["http://\(address)/3", "http://\(address)/cut"]) }
    }

    @Test(.enabled(if: selection == "all"))
    func `fifty transfers of libcurl over TLS`() throws {
        try LocalServer.with(.https) { server in
            let figures = try run("curl", 50, ["https://127.0.0.1:\(server.port)/"])
            #expect(figures.failures == 0, "\(figures.output)")
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `fifty queries of libpq wait at the same time`() throws {
        try LocalServer.with(.postgres) { server in
            let connection = "host=127.0.0.1 port=\(server.port) user=test dbname=postgres"
            expectParallel(try run("postgres", 50, [connection, "select 'x' || pg_sleep(0.5)"]), answer: "x")
            try disturb("postgres", 50, [connection, "select 'x' || pg_sleep(0.003)"])
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `fifty queries of MariaDB's client wait at the same time`() throws {
        try LocalServer.with(.mariadb) { server in
            expectParallel(try run("mariadb", 50, ["\(server.port)", "select sleep(0.5)"]), answer: "0")
            try disturb("mariadb", 100, ["\(server.port)", "select sleep(0.003)"])
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `fifty commands of libssh2 wait at the same time`() throws {
        try LocalServer.with(.ssh) { server in
            let keys = ["\(server.directory)/user.pub", "\(server.directory)/user"]
            let user = String(cString: getpwuid(geteuid())!.pointee.pw_name)
            let figures = try run("ssh", 50, ["\(server.port)", user] + keys + ["sleep 0.5; echo done"])
            expectParallel(figures, answer: "done")
        }
    }

    @Test(.enabled(if: selection == "all"))
    func `writers of SQLite wait for each other`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/database"
            let creation = try run("sqlite", 1, [path, "create table t (n)"])
            #expect(creation.failures == 0, "\(creation.output)")
            let figures = try run("sqlite", 50, [path, "begin immediate; insert into t values (1); commit"])
            #expect(figures.failures == 0, "\(figures.output)")
        }
    }

    // MARK: -

    /// One after the other, the calls would take 25 seconds.
    private func expectParallel(_ figures: Figures, answer: String = "", within limit: Double = 5) {
        print("50 calls took \(figures.took) s, the hub's longest gap was \(figures.gap) s")
        #expect(figures.failures == 0, "\(figures.output)")
        #expect(figures.answers == answer)
        #expect(figures.took >= 0.5 && figures.took < limit)
        // The hub ran others meanwhile.
        #expect(figures.gap < 0.4)
    }

    private func run(_ library: String, _ count: Int, _ words: [String]) throws -> Figures {
        let end = try Program.run(
            Program.built("PatchedProgram", ["--library", library, "\(count)"] + words), within: .seconds(90))
        #expect(end.exit == .status(0), "\(end.output)\(end.error)")
        return try #require(Figures(end.output), "\(end.output)\(end.error)")
    }

    private func disturb(_ library: String, _ seeds: Int, _ words: [String]) throws {
        let count = Sanitizer.scaled(seeds, address: seeds / 4, thread: seeds / 10)
        let end = try Program.run(
            Program.built("PatchedProgram", ["--disturb", library, "\(count)"] + words), within: .seconds(90))
        #expect(end.exit == .status(0), "\(end.output)\(end.error)")
        #expect(!end.output.contains("failed"), "\(end.output)")
        for kind in ["finished", "killed", "timed out"] { #expect(end.output.contains(kind), "\(end.output)") }
    }

    private func withHTTPServer(_ body: (String) throws -> Void) throws {
        let program = try Program(Program.built("PatchedProgram", ["--http-server"]))
        defer { program.end() }
        guard let line = program.standardOutput.waitForLine(containing: "listening on ", within: .seconds(20)) else {
            throw program.failure("does not listen")
        }
        try body(String(line.dropFirst("listening on ".count)))
    }
}

/// What `PatchedProgram --library` prints.
struct Figures {
    let output: String
    let answers: String
    let failures: Int
    let took: Double
    let gap: Double

    init?(_ output: String) {
        self.output = output
        func value(_ name: String) -> String? {
            output.split(separator: "\n").first { $0.hasPrefix("\(name) ") }.map {
                String($0.dropFirst(name.utf8.count + 1))
            }
        }
        guard let failures = value("failures"), let took = value("took"), let gap = value("gap") else { return nil }
        answers = value("answers") ?? ""
        (self.failures, self.took, self.gap) = (Int(failures)!, Double(took)!, Double(gap)!)
    }
}

/// Which of the libraries: `redis` or `all`.
private let selection = getenv("TEST_LIBRARIES").map { String(cString: $0) }
