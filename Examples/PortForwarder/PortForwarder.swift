// A port forwarder: passes each connection on to a service elsewhere.
//
// Shows both directions of a connection at once, in a group that ends as a whole: where one side breaks off, the other is closed too, and no connection
// is left behind.  The kernel passes the bytes on: none comes into this program.
//
//     swift run PortForwarder 7000 example.org 80          # and in another terminal: nc 127.0.0.1 7000

import Glibc
import GreenNet

@main struct PortForwarder {
    static func main() throws {
        let words = CommandLine.arguments
        guard words.count == 4, let port = UInt16(words[1]), let targetPort = UInt16(words[3]) else {
            print("usage: PortForwarder PORT TARGET-HOST TARGET-PORT")
            exit(64)
        }
        let onFailure = { (client: Connection, error: any Error) in print("\(client.peer): \(error)") }
        let server = try StreamServer(on: .loopback(port: port), onFailure: onFailure) { client in
            let target = try Connection.connect(toHost: words[2], port: targetPort, until: .after(.seconds(5)))
            try withGreenGroup { group in
                group.spawn { try splice(from: client, to: target) }
                group.spawn { try splice(from: target, to: client) }
            }
        }
        server.start()
        print("\(server.listeners[0].address) leads to \(words[2]):\(targetPort)")
        fflush(nil)
        _ = try SignalWatcher(SIGINT, SIGTERM).wait()
        try server.drain(until: .after(.seconds(2)))
    }
}
