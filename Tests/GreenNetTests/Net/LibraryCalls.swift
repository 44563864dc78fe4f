import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

// The C library's calls that GreenNet makes, put before the real ones: the linker takes a definition in the program itself first.
// Each does what the real one does, unless a test wants it to fail.  The tests themselves use read, sendto and poll, which nothing
// here touches.
//
// The library that end-to-end tests preload (Tests/CFaultShim) reaches the programs that they start, and not this process.  Linked in here, that
// library would take a sanitizer's own read, mmap and pthread_create away, and count the calls of the test library.

/// One of these calls: the number of calls so far, and whether the next must fail.
final class LibraryCall: Sendable {
    static let receive = LibraryCall()
    static let send = LibraryCall()
    static let accept = LibraryCall()
    static let lookUp = LibraryCall()
    /// libev's epoll_ctl.
    static let watch = LibraryCall()
    /// The number of SIGPIPEs, in tests that count them.
    static let brokenPipes = Atomic(0)

    private let made = Atomic(0)
    private let failures = Atomic(0)
    private let number = Atomic<Int32>(0)
    private let largest = Atomic(Int.max)

    var count: Int { made.load(ordering: .relaxed) }

    /// While `body` runs, the next `times` calls fail with `number` and do nothing.
    func failing<R>(_ times: Int, with number: Int32, _ body: () throws -> R) rethrows -> R {
        self.number.store(number, ordering: .relaxed)
        failures.store(times, ordering: .relaxed)
        defer { failures.store(0, ordering: .relaxed) }
        return try body()
    }

    /// While `body` runs, a call moves no more than `count` bytes.
    func limited<R>(to count: Int, _ body: () throws -> R) rethrows -> R {
        largest.store(count, ordering: .relaxed)
        defer { largest.store(.max, ordering: .relaxed) }
        return try body()
    }

    fileprivate func shallFail() -> Bool {
        made.add(1, ordering: .relaxed)
        guard failures.load(ordering: .relaxed) > 0 else { return false }
        failures.subtract(1, ordering: .relaxed)
        errno = number.load(ordering: .relaxed)
        return true
    }

    fileprivate func length(_ wanted: Int) -> Int { min(wanted, largest.load(ordering: .relaxed)) }
}

private func original<F>(_ name: String, as: F.Type) -> F {
    unsafeBitCast(dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), name)!, to: F.self)
}

private let receiveCall = original(
    "recv", as: (@convention(c) (Int32, UnsafeMutableRawPointer?, Int, Int32) -> Int).self)
private let sendCall = original("send", as: (@convention(c) (Int32, UnsafeRawPointer?, Int, Int32) -> Int).self)
private let acceptCall = original(
    "accept4",
    as: (@convention(c) (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?, Int32) -> Int32)
        .self)
private let watchCall = original(
    "epoll_ctl", as: (@convention(c) (Int32, Int32, Int32, UnsafeMutableRawPointer?) -> Int32).self)
private let lookUpCall = original(
    "getaddrinfo",
    as: (@convention(c) (
        UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<addrinfo>?,
        UnsafeMutablePointer<UnsafeMutablePointer<addrinfo>?>?
    ) -> Int32).self)

@_cdecl("recv")
func receiveInterposed(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int, _ flags: Int32) -> Int {
    if LibraryCall.receive.shallFail() { return -1 }
    return receiveCall(descriptor, buffer, LibraryCall.receive.length(count), flags)
}

@_cdecl("send")
func sendInterposed(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: Int32) -> Int {
    if LibraryCall.send.shallFail() { return -1 }
    return sendCall(descriptor, bytes, LibraryCall.send.length(count), flags)
}

@_cdecl("accept4")
func acceptInterposed(
    _ descriptor: Int32, _ address: UnsafeMutablePointer<sockaddr>?, _ length: UnsafeMutablePointer<socklen_t>?,
    _ flags: Int32
) -> Int32 {
    if LibraryCall.accept.shallFail() { return -1 }
    return acceptCall(descriptor, address, length, flags)
}

/// Public, or the loader would not give it to libev.
@_cdecl("epoll_ctl")
public func watchInterposed(
    _ set: Int32, _ operation: Int32, _ descriptor: Int32, _ event: UnsafeMutableRawPointer?
) -> Int32 {
    if LibraryCall.watch.shallFail() { return -1 }
    return watchCall(set, operation, descriptor, event)
}

/// The look-up of a name such as `127.0.0.2+127.0.0.1.gated` waits for the gate and then returns the addresses in the name.
@_cdecl("getaddrinfo")
func lookUpInterposed(
    _ host: UnsafePointer<CChar>?, _ service: UnsafePointer<CChar>?, _ hints: UnsafePointer<addrinfo>?,
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<addrinfo>?>?
) -> Int32 {
    _ = LibraryCall.lookUp.shallFail()
    guard let host, let list, let addresses = LookupGate.addresses(of: String(cString: host)) else {
        return lookUpCall(host, service, hints, list)
    }
    guard LookupGate.shared.pass() else { return EAI_AGAIN }
    // Each list is freed item by item: they may be joined.
    list.pointee = nil
    for address in addresses.reversed() {
        var item: UnsafeMutablePointer<addrinfo>?
        let code = lookUpCall(address, service, hints, &item)
        guard code == 0, let item else { return code }
        item.pointee.ai_next = list.pointee
        list.pointee = item
    }
    return 0
}

/// The gate at which look-ups of names in `.gated` wait, each on its OS thread, until a test opens it.
final class LookupGate: @unchecked Sendable {
    static let shared = LookupGate()

    // `lock` guards all of these.
    private var isOpen = true
    private var waiting = 0
    private var most = 0
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let opened = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    private init() {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(opened, nil)
    }

    static func addresses(of host: String) -> [String]? {
        guard host.hasSuffix(".gated") else { return nil }
        return host.dropLast(6).split(separator: "+").map { String($0) }
    }

    /// Runs `body`, which is given the gate and may open it, with the gate closed at first.
    static func closed<R>(_ body: (LookupGate) throws -> R) rethrows -> R {
        shared.set(open: false)
        defer { shared.set(open: true) }
        return try body(shared)
    }

    func open() { set(open: true) }

    /// The number of look-ups that wait now.
    var queue: Int { locked { waiting } }
    /// The most look-ups that have waited at once.
    var longestQueue: Int { locked { most } }

    private func set(open: Bool) {
        locked {
            isOpen = open
            if !open { most = 0 }
            pthread_cond_broadcast(opened)
        }
    }

    /// Waits at the gate; false if it stays closed for ever.
    fileprivate func pass() -> Bool {
        locked {
            waiting += 1
            most = max(most, waiting)
            defer { waiting -= 1 }
            var limit = timespec()
            clock_gettime(CLOCK_REALTIME, &limit)
            limit.tv_sec += 10
            while !isOpen, pthread_cond_timedwait(opened, lock, &limit) == 0 {}
            return isOpen
        }
    }

    private func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }
}
