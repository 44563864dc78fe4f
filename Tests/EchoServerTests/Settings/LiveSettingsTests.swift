import TestSupport
import Testing

@testable import EchoServer

@Suite struct LiveSettingsTests {
    /// Gives `body` settings from a file with `text`, and a way to write another text into it.
    private func withFile(
        _ text: String, _ arguments: [String] = [], _ body: (LiveSettings, (String) throws -> Void) throws -> Void
    ) throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/settings"
            try write(text, to: path)
            let configuration = Configuration(try Options.parse(arguments + ["--config", path]))
            try body(LiveSettings(configuration.read(), configuration)) { try write($0, to: path) }
        }
    }

    @Test func `settings that a running server can change are changed, and the others are named`() throws {
        try withFile("transform = echo\nbacklog = 7") { live, write in
            try write("transform = upper\nbacklog = 8\nidle-timeout = 5\nmax-connections = 9")
            let result = try live.reload()
            #expect(result.changed == ["transform", "max-connections", "idle-timeout"])
            #expect(result.needRestart == ["backlog"])
            #expect(live.now.transform == .upper)
            #expect(live.now.idleTimeout == .seconds(5))
            #expect(live.now.maxConnections == 9)
            #expect(live.now.backlog == 7)
        }
    }

    @Test func `who is served, proxies and the place of records change too, and their absence`() throws {
        try withTemporaryDirectory { directory in
            try withFile("") { live, write in
                #expect(live.plain != nil && live.records == nil && live.rules == nil)
                try write(
                    "allow = 10.0.0.0/8\ndeny = ::1\nproxy-protocol = optional\nproxy-trusted = unix\nrecord = \(directory)/r"
                )
                let names = ["record", "allow", "deny", "proxy-protocol", "proxy-trusted"]
                #expect(try live.reload().changed == names)
                #expect(live.rules?.policy.allowed == AddressRanges("10.0.0.0/8"))
                #expect(live.rules?.policy.denied == AddressRanges("::1"))
                #expect(live.rules?.proxies == AddressRanges("unix"))
                #expect(live.plain == nil && live.recorded == nil && live.records != nil)
                // With a record alone, a connection has a way of its own, and no rules are looked at.
                try write("record = \(directory)/r")
                #expect(try live.reload().changed == Array(names.dropFirst()))
                #expect(live.plain == nil && live.recorded != nil && live.records != nil && live.rules == nil)
                try write("")
                #expect(try live.reload().changed == ["record"])
                #expect(live.plain != nil && live.recorded == nil && live.records == nil && live.rules == nil)
            }
        }
    }

    @Test func `where the listeners or the records can't be had, nothing changes`() throws {
        try withFile("transform = echo") { live, write in
            try write("transform = upper\nport = 1")
            #expect(throws: StartFailure.self) {
                try live.reload { settings throws(StartFailure) in
                    #expect(settings.port == 1)
                    throw StartFailure(.unavailable, "the port is in use")
                }
            }
            #expect(live.now.transform == .echo && live.now.port == 8080)
            try write("transform = upper\nrecord = /nowhere/records")
            #expect(throws: StartFailure.self) { try live.reload() }
            #expect(live.now.transform == .echo && live.records == nil)
        }
    }

    @Test func `a setting that has gone from the file has its default again`() throws {
        try withFile("drain-timeout = 3") { live, write in
            try write("")
            #expect(try live.reload().changed == ["drain-timeout"])
            #expect(live.now.drainTimeout == .seconds(10))
        }
    }

    @Test(arguments: ["transform = loud", "transfrom = upper", "transform = upper\nport = http", "pool-size = 2"])
    func `with any error in the file, nothing changes`(text: String) throws {
        try withFile("transform = echo\ndrain-timeout = 3") { live, write in
            try write(text)
            #expect(throws: StartFailure.self) { try live.reload() }
            #expect(live.now.transform == .echo)
            #expect(live.now.drainTimeout == .seconds(3))
        }
    }

    @Test func `an option still overrides the file`() throws {
        try withFile("transform = echo", ["--transform", "upper"]) { live, write in
            try write("transform = echo\nwrite-timeout = 1")
            #expect(try live.reload().changed == ["write-timeout"])
            #expect(live.now.transform == .upper)
        }
    }

    @Test func `the listing has each setting with its origin`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/settings"
            try write("\nmodel = thread\n", to: path)
            let options = try Options.parse(["--config", path, "--idle-timeout", "2.5"])
            let lines = try Configuration(options).listing().split(separator: "\n").map(String.init)
            #expect(lines.count == Settings.all.count)
            #expect(lines.contains("model = thread  # \(path):2"))
            #expect(lines.contains("idle-timeout = 2.5  # --idle-timeout"))
            #expect(lines.contains("unix-socket = none  # default"))
        }
    }
}
