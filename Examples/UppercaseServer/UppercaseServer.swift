// An upper-case server: each client gets back what it sends, in capitals.
//
// Shows a whole server on green threads: one for each client, in code as for one client.  `receive` parks the client's green thread until bytes come, and
// returns nil when the client has ended its stream.  In Python, `recv` returns empty bytes then, for ever: a server that does not look for them spins.
//
//     swift run UppercaseServer 8080          # and in another terminal: nc 127.0.0.1 8080

import CourseKit
import Glibc
import GreenNet

@main struct UppercaseServer {
    static func main() {
        let port = number(arguments(1...1, usage: "UppercaseServer PORT")[0], "PORT", in: 0...65535)
        orEnd {
            let server = try StreamServer(on: .loopback(port: UInt16(port)), handler: serve)
            server.start()
            say("listening on \(server.listeners[0].address)")
            _ = try SignalWatcher(SIGINT, SIGTERM).wait()
            try server.stop()
        }
    }

    static func serve(_ client: Connection) throws {
        while let bytes = try client.receive() {
            // What a client sends goes escaped to the terminal, which would obey control characters.
            say("client \(client.peer) msg: \(String(decoding: bytes, as: UTF8.self).debugDescription)")
            try client.sendAll(bytes.map { 97...122 ~= $0 ? $0 - 32 : $0 })
        }
    }
}
