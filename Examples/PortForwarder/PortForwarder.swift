// A port forwarder: passes each connection on to a service elsewhere.
//
// Shows both directions of a connection at once, in a group that ends as a whole: where one side breaks off, the other is closed too, and no connection
// is left behind.  The kernel passes the bytes on: none comes into this program.
//
//     swift run PortForwarder 7000 example.org 80          # and in another terminal: nc 127.0.0.1 7000

import CourseKit
import Glibc
import GreenNet

@main struct PortForwarder {
    static func main() {
        let words = arguments(3...3, usage: "PortForwarder PORT TARGET-HOST TARGET-PORT")
        let port = UInt16(number(words[0], "PORT", in: 0...65535))
        orEnd { try forward(port, to: words[1], UInt16(number(words[2], "TARGET-PORT", in: 1...65535))) }
    }

    static func forward(_ port: UInt16, to host: String, _ targetPort: UInt16) throws {
        let onFailure = { (client: Connection, error: any Error) in say("\(client.peer): \(error)") }
        let server = try StreamServer(on: .loopback(port: port), onFailure: onFailure) { client in
            let target = try Connection.connect(toHost: host, port: targetPort, until: .after(.seconds(5)))
            try withGreenGroup { group in
                group.spawn { try splice(from: client, to: target) }
                group.spawn { try splice(from: target, to: client) }
            }
        }
        server.start()
        say("\(server.listeners[0].address) leads to \(host):\(targetPort)")
        _ = try SignalWatcher(SIGINT, SIGTERM).wait()
        try server.drain(until: .after(.seconds(2)))
    }
}
