import Glibc

/// A socket call that did not do what it was asked: which call, how it ended, and with whom.
public struct NetError: Error, Hashable, Sendable {
    /// The system call, under the name that strace shows; or what a connection's own context could not be had from: `fork`, `mmap` of a
    /// stack, `pthread_create`.
    public enum Call: String, Sendable {
        /// The system call of that name.
        case accept, bind, chmod, chown, connect, dup, getsockname, getsockopt, listen, open, pipe, poll, read, recv,
            recvfrom, recvmmsg, recvmsg, send, sendfile, sendmmsg, sendmsg, sendto, setsockopt, shutdown, socket,
            socketpair, splice, unlink, write
        /// A connection's own context, a process or a stack, could not be had from this system call.
        case fork, mmap
        /// A connection's own context, an OS thread, could not be had.
        case threadCreate = "pthread_create"
    }

    /// How a call ended that failed.
    public enum Ending: Hashable, Sendable {
        /// The wait for readiness was ended: by a deadline, a kill, or a `close()` meanwhile.
        case wait(WaitError)
        /// The kernel refused.
        case system(SystemError)
        /// `receive(exactly:)` wanted more bytes than came before the end of the stream.
        case endOfStream(received: Int, wanted: Int)
        /// It was asked for what cannot be: a value out of its range, say.  In words, which begin after a colon.
        case invalid(String)
    }

    /// The call that ended so.
    public var call: Call { facts.call }
    /// How it ended.
    public var ending: Ending { facts.ending }
    /// The other side, or for a listener its own address; nil where it is not known.
    public var peer: SocketAddress? { facts.peer }
    /// Of a connect by name that has failed: how the attempt with each address has ended, in the order in which they ended; empty for anything else.
    public var attempts: [NetError] { facts.attempts }
    /// How many bytes of a `sendAll` that ended early the kernel had taken by then.  All of them, where the green thread was killed as it gave way behind its
    /// last byte.  0 of any other call.
    public var sent: Int { facts.sent }
    /// What a `receive(exactly:)` or `receiveAll` that ended early had received by then.  Empty of any other call: it has taken nothing from the stream.
    public var received: [UInt8] { facts.received }

    /// One word, as `WaitError` is, and for the same reason.
    private let facts: Facts

    private final class Facts: Hashable, Sendable {
        let call: Call
        let ending: Ending
        let peer: SocketAddress?
        /// What it is about, where that is not the peer: the name and port that were asked for, a descriptor, a path, a stream that is no socket.
        let subject: String?
        /// The option that was to be set.
        let option: String?
        let attempts: [NetError]
        let sent: Int
        let received: [UInt8]

        init(
            _ call: Call, _ ending: Ending, _ peer: SocketAddress?, subject: String? = nil, option: String? = nil,
            attempts: [NetError] = [], sent: Int = 0, received: [UInt8] = []
        ) {
            (self.call, self.ending, self.peer) = (call, ending, peer)
            (self.subject, self.option, self.attempts) = (subject, option, attempts)
            (self.sent, self.received) = (sent, received)
        }

        /// How far the call came is not compared: it has ended in the same way.
        static func == (left: Facts, right: Facts) -> Bool {
            left.call == right.call && left.ending == right.ending && left.peer == right.peer
                && left.subject == right.subject && left.option == right.option && left.attempts == right.attempts
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(call)
            hasher.combine(ending)
            hasher.combine(peer)
            hasher.combine(subject)
            hasher.combine(option)
            hasher.combine(attempts)
        }
    }

    // Out of line: what is not the way of every message shall not make its frames larger.
    @inline(never)
    package init(_ call: Call, _ ending: Ending, _ peer: SocketAddress?) { facts = Facts(call, ending, peer) }

    /// A step of several bytes that ended early, by `ending`, after `sent` bytes or with `received` in its hands.
    @inline(never)
    init(_ call: Call, _ ending: Ending, _ peer: SocketAddress?, sent: Int = 0, received: [UInt8] = []) {
        facts = Facts(call, ending, peer, sent: sent, received: received)
    }

    /// The same end, of a step that had sent `sent` bytes by then.
    func after(sent: Int) -> NetError { NetError(Facts(call, ending, peer, subject: facts.subject, sent: sent)) }

    /// The same end, of a step that had received `received` by then.
    func after(received: [UInt8]) -> NetError {
        NetError(Facts(call, ending, peer, subject: facts.subject, received: received))
    }

    private init(_ facts: Facts) { self.facts = facts }

    /// From a system call's negative result.
    @inline(never)
    init(_ call: Call, result: Int, _ peer: SocketAddress?) {
        self.init(call, .system(SystemError(Int32(-result))), peer)
    }

    /// About what has no address: a descriptor, a path.
    @inline(never)
    init(_ call: Call, _ ending: Ending, subject: String) { facts = Facts(call, ending, nil, subject: subject) }

    @inline(never)
    init(_ call: Call, result: Int, subject: String) {
        self.init(call, .system(SystemError(Int32(-result))), subject: subject)
    }

    /// A socket option, by its name in words, that was not set.
    @inline(never)
    init(option: String, _ ending: Ending, _ peer: SocketAddress?) {
        facts = Facts(.setsockopt, ending, peer, option: option)
    }

    /// A connect by name, all `attempts` of which have failed.  It ended by `ending`, or as the attempt whose reason says most.
    @inline(never)
    init(_ host: String, _ attempts: [NetError], _ ending: Ending? = nil) {
        // That there is no way to one of the addresses is usual, as where a machine has no IPv6.
        let chosen = attempts.first { $0.ending == ending || ending == nil && !$0.hadNoWay } ?? attempts.first
        facts = Facts(.connect, ending ?? chosen!.ending, chosen?.peer, subject: host, attempts: attempts)
    }

    private var hadNoWay: Bool {
        guard let code = errno?.code else { return false }
        return [ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL, EAFNOSUPPORT].contains(code)
    }

    /// The error number; nil where the kernel did not refuse.
    public var errno: SystemError? {
        if case .system(let errno) = ending { errno } else { nil }
    }

    /// Whether the other side has gone: it has reset the connection, has been silent until the kernel gave it up, or has ended its stream in the middle of
    /// what `receive(exactly:)` wanted.  Nothing is wrong here: a server ends that connection and goes on.
    ///
    /// In a closure, write `do throws(NetError) { … } catch { … }`: else Swift takes the error for `any Error`, which has `isTimeout` and not this.
    public var isPeerGone: Bool {
        if case .endOfStream = ending { return call != .sendfile }
        guard let code = errno?.code else { return false }
        return [ECONNRESET, EPIPE, ETIMEDOUT, ECONNABORTED, EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN].contains(
            code)
    }
}

/// An error of a layer over a connection, which says what the connection's own was.
package protocol ConnectionFailure: Error {
    /// Nil where the connection did not fail.
    var netError: NetError? { get }
    /// Whether the other side has gone, as `NetError.isPeerGone` has it.
    var isPeerGone: Bool { get }
}

extension NetError: ConnectionFailure {
    package var netError: NetError? { self }
}

extension NetError: WaitEnding {
    /// Set where a deadline, a kill or a `close()` ended the call.
    public var waitError: WaitError? {
        if case .wait(let error) = ending { error } else { nil }
    }

    /// Whether time ended the call: its own deadline, or the limit of an enclosing `withTimeout`.
    public var isTimeout: Bool {
        switch waitError {
        case .deadlinePassed, .timedOut: true
        default: false
        }
    }

    /// Whether a kill of the green thread, or the failure of its group, ended the call.
    public var isCancellation: Bool { waitError == .cancelled }
}

extension NetError: CustomStringConvertible {
    /// As in `cannot receive from 127.0.0.1:4242: connection reset by peer (ECONNRESET)`.  Of a connect by name, each address with its reason follows
    /// the name: `cannot connect to twin:80: [::2]:80: network is unreachable (ENETUNREACH); 127.0.0.2:80: connection refused (ECONNREFUSED)`.
    public var description: String { "cannot \(deed): \(reasons ?? reason)" }

    /// Each of `attempts` with its address; nil where there are none.
    package var reasons: String? {
        attempts.isEmpty ? nil : attempts.map { "\($0.peer!): \($0.reason)" }.joined(separator: "; ")
    }

    /// What the call was to do.
    private var deed: String {
        switch call {
        case .accept: "accept connections" + with("on")
        case .bind: "bind" + with("")
        case .chmod: "change the mode" + with("of")
        case .chown: "change owner and group" + with("of")
        case .connect: "connect" + with("to")
        case .dup: "copy" + with("")
        case .getsockname: "read the local address" + with("of")
        case .getsockopt: "read a socket option" + with("for")
        case .listen: "listen" + with("on")
        case .open: "open" + with("")
        case .pipe: "make a pipe" + with("for")
        case .poll: "wait" + with("for")
        case .read: "read" + with("from")
        case .recv: "receive" + with("from")
        case .recvfrom, .recvmmsg: "receive datagrams" + with("on")
        case .recvmsg: "receive descriptors" + with("from")
        case .send: "send" + with("to")
        case .sendfile: "send" + with("")
        case .sendmmsg: "send datagrams" + with("to")
        case .sendmsg: "send descriptors" + with("to")
        case .sendto: "send a datagram" + with("to")
        case .setsockopt: "set \(facts.option ?? "a socket option")" + with("for")
        case .shutdown: "shut down the connection" + with("with")
        case .socket: "make a socket" + with("for")
        case .socketpair: "make a pair of sockets"
        case .splice: "pass bytes on" + with("for")
        case .unlink: "remove" + with("")
        case .write: "write" + with("to")
        case .fork: "fork a process" + with("for")
        case .mmap: "make a stack" + with("for")
        case .threadCreate: "start an OS thread" + with("for")
        }
    }

    private func with(_ preposition: String) -> String {
        guard let whom = facts.subject?.escaped ?? peer.map({ "\($0)" }) else { return "" }
        return preposition.isEmpty ? " \(whom)" : " \(preposition) \(whom)"
    }

    private var reason: String {
        switch ending {
        case .wait(.deadlinePassed): "deadline passed"
        case .wait(.timedOut(let limit)): "timed out after \(limit.duration.text)"
        case .wait(.closed): "closed meanwhile"
        case .wait(let error): "\(error)"
        // Of the file that has the path, not of the socket: the C library's words would mislead.
        case .system(let errno) where call == .bind && errno.code == ENOTSOCK:
            "it exists and is not a socket (ENOTSOCK)"
        case .system(let errno): "\(errno)"
        case .invalid(let words): words
        case .endOfStream(let received, let wanted) where call == .sendfile:
            "the file ended after \(received) of \(wanted) bytes"
        case .endOfStream(let received, let wanted): "the stream ended after \(received) of \(wanted) bytes"
        }
    }
}
