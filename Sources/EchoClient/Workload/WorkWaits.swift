import Glibc
import GreenNet

/// How a task waits: the one thing in which green threads and others differ.
protocol WorkWaits {
    static func sleep(_ length: Duration) throws
    /// Asks the server at `port` of this machine `times` times, one after the other.
    static func ask(_ port: UInt16, times: Int) throws
}

extension Work {
    func runTask<Waits: WorkWaits>(_ facts: WorkFacts, _: Waits.Type) throws {
        switch self {
        case .computation: ComputingTask.blackHole(ComputingTask.run(facts.rounds))
        case .disk: try DiskTask.run(in: facts.directory, pieces: DiskTask.pieces(facts.length))
        case .network: try Waits.ask(facts.port, times: Work.questions(facts.length))
        case .sleep: try Waits.sleep(facts.length)
        }
    }
}

/// The hub runs others meanwhile.
enum GreenWaits: WorkWaits {
    static func sleep(_ length: Duration) throws { try Greenlet.sleep(for: length) }

    static func ask(_ port: UInt16, times: Int) throws {
        let connection = try Connection.connect(to: .loopback(port: port))
        defer { connection.close() }
        for _ in 0..<times {
            try connection.sendAll([1])
            if try connection.receiveView() == nil { throw Failure.endedBeforeInput(connection.peer) }
        }
    }
}

/// The kernel runs others meanwhile.
enum BlockingWaits: WorkWaits {
    static func sleep(_ length: Duration) throws {
        let end = Deadline.after(length)
        while !end.hasPassed {
            let left = max(0, (end - .now).nanoseconds)
            var time = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
            nanosleep(&time, nil)
        }
    }

    static func ask(_ port: UInt16, times: Int) throws {
        let failure = Failure.missing(.loopback(port: port), received: 0, sent: times, nil)
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0 { throw failure }
        var byte: UInt8 = 1
        for _ in 0..<times {
            guard send(descriptor, &byte, 1, Int32(MSG_NOSIGNAL)) == 1, recv(descriptor, &byte, 1, 0) == 1 else {
                throw failure
            }
        }
    }
}
