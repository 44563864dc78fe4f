// A chat server: each line that a guest writes goes to all other guests.
//
// Shows two green threads for each client: one reads, the other writes, and a queue between guests keeps a slow reader from holding up the others.  Shows
// also a reader of lines with a limit, and a server that ends at a signal.
//
//     swift run ChatServer 7000          # and in two other terminals: nc 127.0.0.1 7000

import CourseKit
import Glibc
import GreenNet

@main struct ChatServer {
    static func main() {
        let port = UInt16(number(arguments(0...1, usage: "ChatServer [PORT]").first ?? "7000", "PORT", in: 0...65535))
        let room = Room()
        orEnd {
            let server = try StreamServer(on: .loopback(port: port), handler: room.welcome)
            server.start()
            say("chat on \(server.listeners[0].address)")
            _ = try SignalWatcher(SIGINT, SIGTERM).wait()
            try server.stop()
        }
    }
}

/// The guests.  Only green threads of one OS thread use it, and no call waits in the middle of a change, so that it needs no lock.
final class Room {
    private var mailboxes: [String: GreenQueue<String>] = [:]

    /// Serves one guest, and returns when the guest has hung up.
    func welcome(_ connection: Connection) throws {
        let lines = LineReader(connection, longest: 1000)
        try connection.sendAll("What is your name?\n")
        guard let name = try lines.next() else { return }
        guard mailboxes[name] == nil else { return try connection.sendAll("That name is taken.\n") }
        let mailbox = GreenQueue<String>(limit: 100)
        mailboxes[name] = mailbox
        tell("\(name) is here")
        defer {
            mailboxes[name] = nil
            tell("\(name) is gone")
        }
        try withGreenGroup { group in
            group.spawn(name: "to \(name)") {
                while let line = try mailbox.next() { try connection.sendAll("\(line)\n") }
            }
            while let line = try lines.next() { tell("\(name): \(line)", except: mailbox) }
            mailbox.shutDown()
        }
    }

    /// Never waits: a guest with a hundred unread lines misses this line.
    private func tell(_ line: String, except own: GreenQueue<String>? = nil) {
        for mailbox in mailboxes.values where mailbox !== own { _ = try? mailbox.tryPut(line) }
    }
}
