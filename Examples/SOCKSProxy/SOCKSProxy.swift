// A SOCKS5 proxy (RFC 1928), for CONNECT by address and by name, without passwords.
//
// Shows a binary protocol that is read as if each call blocked, errors that become answers, and bytes that the kernel passes on: none of them comes into this
// program.
//
//     swift run SOCKSProxy 1080          # and in another terminal: curl --socks5-hostname 127.0.0.1:1080 http://example.org/

import CourseKit
import Glibc
import GreenNet

@main struct SOCKSProxy {
    static func main() {
        let port = UInt16(number(arguments(1...1, usage: "SOCKSProxy PORT")[0], "PORT", in: 0...65535))
        orEnd { try serve(port) }
    }

    static func serve(_ port: UInt16) throws {
        let onFailure = { (client: Connection, error: any Error) in say("\(client.peer): \(error)") }
        let server = try StreamServer(on: .loopback(port: port), onFailure: onFailure) { client in
            guard let service = try negotiate(with: client, until: .after(.seconds(10))) else { return }
            try withGreenGroup { group in
                group.spawn { try splice(from: client, to: service) }
                group.spawn { try splice(from: service, to: client) }
            }
        }
        server.start()
        say("SOCKS5 at \(server.listeners[0].address)")
        _ = try SignalWatcher(SIGINT, SIGTERM).wait()
        try server.drain(until: .after(.seconds(2)))
    }

    /// Answers the client, and returns the connection that it has asked for; nil where it was refused one.
    private static func negotiate(with client: Connection, until deadline: Deadline) throws -> Connection? {
        let greeting = try client.receive(exactly: 2, until: deadline)
        guard greeting[0] == 5 else { return nil }
        let methods = try client.receive(exactly: Int(greeting[1]), until: deadline)
        let isOpen = methods.contains(0)  // no password
        try client.sendAll([5, isOpen ? 0 : 0xff], until: deadline)
        guard isOpen else { return nil }
        do throws(Refusal) {
            let service = try connect(try Request(from: client, until: deadline), until: deadline)
            try? client.sendAll(Reply.succeeded.bytes, until: deadline)
            return service
        } catch {
            try client.sendAll(error.reply.bytes, until: deadline)
            // So that a client that has sent more already gets the answer.
            client.linger(within: .seconds(1), dropping: 1 << 20)
            return nil
        }
    }

    private static func connect(_ request: Request, until deadline: Deadline) throws(Refusal) -> Connection {
        do {
            return try Connection.connect(toHost: request.host, port: request.port, until: deadline)
        } catch let error as NetError {
            switch error.errno?.code {
            case ECONNREFUSED: throw Refusal(reply: .connectionRefused)
            case ENETUNREACH: throw Refusal(reply: .networkUnreachable)
            default: throw Refusal(reply: .hostUnreachable)
            }
        } catch {
            throw Refusal(reply: .hostUnreachable)  // the name has no address, or time is over
        }
    }
}

/// What the client asks for.
struct Request {
    let host: String
    let port: UInt16

    init(from client: Connection, until deadline: Deadline) throws(Refusal) {
        do {
            let head = try client.receive(exactly: 4, until: deadline)
            host = try Request.host(ofKind: head[3], from: client, until: deadline)
            let bytes = try client.receive(exactly: 2, until: deadline)
            port = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
            if head[0] != 5 { throw Refusal(reply: .failed) }
            if head[1] != 1 { throw Refusal(reply: .commandNotSupported) }
        } catch let error as Refusal {
            throw error
        } catch {
            throw Refusal(reply: .failed)
        }
    }

    private static func host(ofKind kind: UInt8, from client: Connection, until deadline: Deadline) throws -> String {
        switch kind {
        case 1: return try client.receive(exactly: 4, until: deadline).map { "\($0)" }.joined(separator: ".")
        case 3:
            let length = try client.receive(exactly: 1, until: deadline)[0]
            return String(decoding: try client.receive(exactly: Int(length), until: deadline), as: UTF8.self)
        case 4:
            let bytes = try client.receive(exactly: 16, until: deadline)
            let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
            return groups.map { String($0, radix: 16) }.joined(separator: ":")
        default: throw Refusal(reply: .addressNotSupported)
        }
    }
}

struct Refusal: Error { let reply: Reply }

enum Reply: UInt8 {
    case succeeded, failed, notAllowed, networkUnreachable, hostUnreachable, connectionRefused, expired,
        commandNotSupported, addressNotSupported

    /// With no address: clients do not look at it.
    var bytes: [UInt8] { [5, rawValue, 0, 1, 0, 0, 0, 0, 0, 0] }
}
