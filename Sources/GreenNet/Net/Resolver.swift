import Glibc
import Synchronization

/// A name that could not be looked up.
public struct ResolveError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name as it was asked for.
    public let host: String
    /// getaddrinfo's number, such as EAI_NONAME.
    public let code: Int32

    /// As in `no.such.host: Name or service not known`.
    public var description: String { "\(host): \(String(cString: gai_strerror(code)))" }
}

/// Looks up host names with the C library's resolver, which blocks: so on OS threads of its own, a few at most, which are started when
/// there is work and end when there is none.  A numeric address needs none of them.
public enum Resolver {
    static let threadLimit = 4

    /// The addresses of `host`, in the order in which they are to be tried; at least one.
    ///
    /// Throws `ResolveError` where there is none, and `WaitError` when `deadline` has passed or the green thread was killed; the answer is
    /// dropped then.
    public static func resolve(
        _ host: String, port: UInt16, until deadline: Deadline = .never
    ) throws -> [SocketAddress] {
        if let address = SocketAddress(ip: host, port: port) { return [address] }
        try check(host)
        let thread = Hub.currentThread
        let question = Question(host: host, port: port, hub: Hub.current.remote)
        question.answer.waiter = thread
        defer { question.answer.waiter = nil }
        try pool.ask(question)
        while question.answer.outcome == nil {
            if let error = thread.error(after: thread.wait(for: .lookup, until: deadline)) { throw error }
        }
        return try question.answer.outcome!.get()
    }

    /// The same on the calling OS thread, which is blocked meanwhile: for programs that must not have another one.
    package static func resolveHere(_ host: String, port: UInt16) throws(ResolveError) -> [SocketAddress] {
        if let address = SocketAddress(ip: host, port: port) { return [address] }
        try check(host)
        return try addresses(of: host, port: port).get()
    }

    /// The C library would look up what stands before a zero byte.
    private static func check(_ host: String) throws(ResolveError) {
        if host.utf8.contains(0) { throw ResolveError(host: host, code: EAI_NONAME) }
    }

    /// Blocks.
    fileprivate static func addresses(of host: String, port: UInt16) -> Result<[SocketAddress], ResolveError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0, let list else { return .failure(ResolveError(host: host, code: code)) }
        defer { freeaddrinfo(list) }
        let found = sequence(first: list) { $0.pointee.ai_next }.map { SocketAddress($0.pointee).with(port: port) }
        return .success(found)
    }

    private static let pool = LookupPool()
}

/// One look-up.  `answer` belongs to the asking hub's OS thread; the rest never changes.
private final class Question: Sendable {
    let host: String
    let port: UInt16
    let hub: RemoteHub
    let answer = Answer()

    init(host: String, port: UInt16, hub: RemoteHub) { (self.host, self.port, self.hub) = (host, port, hub) }

    /// On a look-up thread.
    func lookUp() {
        let outcome = Resolver.addresses(of: host, port: port)
        // False where the hub has closed: nobody waits any more.
        _ = hub.callInHub { [answer] in
            answer.outcome = outcome
            answer.waiter?.wake(.event)
        }
    }
}

// Touched only on the asking hub's OS thread; look-up threads merely hold the reference, to hand it back.
private final class Answer: @unchecked Sendable {
    var waiter: GreenThread?
    var outcome: Result<[SocketAddress], ResolveError>?
}

/// The OS threads that look names up.
private final class LookupPool: Sendable {
    private struct State {
        var questions: [Question] = []
        var threads = 0
    }

    private let state = Mutex(State())

    private func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in Context.locked(self) { body(&state) } }
    }

    /// Queues `question`, and starts a thread for it where fewer than the limit run.
    func ask(_ question: Question) throws {
        let needsThread = withState { state in
            state.questions.append(question)
            guard state.threads < Resolver.threadLimit else { return false }
            state.threads += 1
            return true
        }
        if needsThread { try startThread() }
    }

    private func startThread() throws {
        var thread = pthread_t()
        let number = pthread_create(&thread, nil, lookupThreadMain, Unmanaged.passUnretained(self).toOpaque())
        if number == 0 {
            pthread_detach(thread)
            return
        }
        let others = withState { state in
            state.threads -= 1
            return state.threads
        }
        // With no thread at all, the question would wait for ever.
        if others == 0 { throw ResolveError(host: "look-up thread", code: EAI_AGAIN) }
    }

    /// On a look-up thread, until there is nothing left to do.
    fileprivate func work() {
        while let question = next() { question.lookUp() }
    }

    private func next() -> Question? {
        withState { state in
            guard !state.questions.isEmpty else {
                state.threads -= 1
                return nil
            }
            return state.questions.removeFirst()
        }
    }
}

private let lookupThreadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { pool in
    // The pool is a constant of the process and lives as long.
    Unmanaged<LookupPool>.fromOpaque(pool!).takeUnretainedValue().work()
    return nil
}

extension SocketAddress {
    fileprivate init(_ info: addrinfo) {
        var storage = Storage()
        storage.length = info.ai_addrlen
        withUnsafeMutableBytes(of: &storage.bytes) { bytes in
            bytes.copyMemory(from: UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
        }
        self.init(storage)
    }
}
