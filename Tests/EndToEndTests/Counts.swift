import Glibc
import GreenNet
import TestSupport
import Testing

/// The server's counters, from a line of its log.
struct Counts: Sendable {
    private let numbers: [String: Int]

    /// Reads a line of words such as `accepted=7`.
    init(_ line: String) {
        let pairs = line.split(separator: " ").compactMap { word -> (String, Int)? in
            let parts = word.split(separator: "=")
            return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
        }
        numbers = Dictionary(pairs) { $1 }
    }

    /// The line leaves out counters that are zero.
    subscript(name: String) -> Int { numbers[name] ?? 0 }

    /// Connections that have ended for any reason.
    var ended: Int { numbers.filter { $0.key.hasPrefix("ended_") }.values.reduce(0, +) }

    /// Expects that each accepted connection is open or has ended for one reason.
    func expectToAddUp(open: Int, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(self["open"] == open, "\(numbers)", sourceLocation: sourceLocation)
        #expect(self["accepted"] == open + ended, "\(numbers)", sourceLocation: sourceLocation)
    }
}

extension Counts {
    /// Expects that no counter is lower than in `earlier`, and that each accepted connection is open or has ended.
    func expectToFollow(_ earlier: Counts, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(self["accepted"] == self["open"] + ended, "\(numbers)", sourceLocation: sourceLocation)
        #expect(self["open"] >= 0, "\(numbers)", sourceLocation: sourceLocation)
        for (name, value) in earlier.numbers where name.hasPrefix("ended_") || name == "accepted" {
            #expect(self[name] >= value, "\(name): \(numbers)", sourceLocation: sourceLocation)
        }
    }
}

extension Server {
    /// One client after the other, until killed; each sends a message, and is served unless its process has died.
    func comeAndGo(leavingByReset isRude: Bool) throws {
        let port = try port
        while true {
            if isRude, let socket = try? RawSocket(port: port) { socket.reset() }
            if let connection = try? connect() {
                _ = try? connection.expect("HELLO", to: "hello")
                connection.close()
            }
            try Greenlet.sleep(for: .milliseconds(1))
        }
    }

    /// Asks the server for its counters, while the hub's other green threads go on.
    func counts() throws -> Counts {
        let before = program.standardError.lines.count { $0.contains(" notice state ") }
        program.send(SIGUSR1)
        return Counts(try program.waitOnHub(forLineContaining: " notice state ", count: before + 1))
    }

    /// The counters that the server has logged at its end; nil before.
    var lastCounts: Counts? { program.standardError.lines.last { $0.contains(" stopped ") }.map { Counts($0) } }

    /// Asks until `isSo` is true: the server counts a client's actions a moment later.
    func waitForCounts(_ isSo: (Counts) -> Bool) throws -> Counts {
        var counts = try counts()
        _ = try eventuallyOnHub {
            if !isSo(counts) { counts = try self.counts() }
            return isSo(counts)
        }
        return counts
    }
}
