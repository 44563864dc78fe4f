// A chat server: what one guest writes, all others read.
//
// Shows two green threads for each client, one that reads and one that writes, with a queue between guests, so that one who reads slowly holds nobody up;
// a loop over lines that are there already, which gives the others a turn all the same, and a server that ends when it is told to.
//
//     swift run ChatServer 7000          # and in two other terminals: nc 127.0.0.1 7000

import Glibc
import GreenNet

@main struct ChatServer {
    static func main() throws {
        let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7000
        let room = Room()
        let server = StreamServer(try Listener(on: SocketAddress(ip: "127.0.0.1", port: port)!), handler: room.welcome)
        server.start()
        print("chat on \(server.listeners[0].address)")
        fflush(nil)
        _ = try SignalWatcher(SIGINT, SIGTERM).wait()
        try server.stop()
    }
}

/// Who is there.  Only green threads of one OS thread use it, and none waits in the middle of a change, so that it needs no lock.
final class Room {
    private var mailboxes: [String: GreenQueue<String>] = [:]

    /// Serves one guest; returns when that has hung up.
    func welcome(_ connection: Connection) throws {
        let lines = Lines(of: connection)
        try connection.sendAll(Array("What is your name?\n".utf8))
        guard let name = try lines.next() else { return }
        guard mailboxes[name] == nil else { return try connection.sendAll(Array("That one is here already.\n".utf8)) }
        let mailbox = GreenQueue<String>(limit: 100)
        mailboxes[name] = mailbox
        tell("\(name) is here")
        defer {
            mailboxes[name] = nil
            tell("\(name) is gone")
        }
        try withGreenGroup { group in
            group.spawn(name: "to \(name)") {
                while let line = try mailbox.next() { try connection.sendAll(Array("\(line)\n".utf8)) }
            }
            while let line = try lines.next() { tell("\(name): \(line)", except: mailbox) }
            mailbox.shutDown()
        }
    }

    /// Never waits: who has a hundred unread lines misses this one.
    private func tell(_ line: String, except own: GreenQueue<String>? = nil) {
        for mailbox in mailboxes.values where mailbox !== own { _ = try? mailbox.tryPut(line) }
    }
}

/// What comes over a connection, line by line.
final class Lines {
    private let connection: Connection
    private var rest: [UInt8] = []

    init(of connection: Connection) { self.connection = connection }

    func next() throws -> String? {
        while true {
            if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                // One packet may have brought hundreds of lines.  Those who read the line before it have their turn before the next one comes.
                try Greenlet.yield()
                defer { rest.removeSubrange(...end) }
                return String(decoding: rest[..<end], as: UTF8.self)
            }
            let more = try connection.receive(upTo: 4096)
            if more.isEmpty { return nil }
            rest += more
        }
    }
}
