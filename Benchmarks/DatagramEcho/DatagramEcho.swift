// `make bench-udp` runs it: sends datagrams back, in batches.

import Glibc
import GreenNet

@main struct DatagramEcho {
    static func main() throws {
        guard CommandLine.arguments.count == 2, let port = UInt16(CommandLine.arguments[1]) else {
            print("usage: DatagramEcho PORT")
            exit(64)
        }
        let socket = try Datagram(bind: .loopback(port: port), options: [.receiveBuffer(4 << 20)])
        let batch = DatagramBatch(capacity: 64, size: 2048)
        while true {
            try socket.receive(into: batch)
            try socket.send(batch)
        }
    }
}
