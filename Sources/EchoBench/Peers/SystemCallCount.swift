import ProgramKit

/// System calls a message, counted by strace.
struct SystemCallCount: Equatable {
    let all: Double
    /// As in `sendto 1.00; recvfrom 1.00`.
    let list: String

    init(of peer: Peer, _ harness: Harness) throws {
        self = try withScratchFolder { folder in
            let file = "\(folder)/calls"
            let strace = ["strace", "-qq", "-f", "-c", "-S", "calls", "-o", file]
            let messages = try harness.withServer(peer.start(for: nil)) { server in
                try WatchedRun(harness: harness, server: server, seconds: 0.5).messages(watchedBy: strace)
            }
            return SystemCallCount(parsing: SmallFile.text(of: file) ?? "", messages: messages)
        }
    }

    /// From the table of `strace -c`.  Calls that hardly any message makes are counted and not listed.
    init(parsing table: String, messages: Double) {
        var (all, list): (Double, [String]) = (0, [])
        for line in table.lines {
            let words = String(line).words
            guard words.count >= 5, Double(words[0]) != nil, words.last != "total", let calls = Double(words[3])
            else { continue }
            all += calls
            let share = calls / messages
            if share >= 0.005 { list.append("\(words.last!) \(share.decimals(2))") }
        }
        (self.all, self.list) = (all / messages, list.joined(separator: "; "))
    }
}
