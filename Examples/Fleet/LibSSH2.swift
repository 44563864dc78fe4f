import CourseKit
import Glibc
import GreenNet
import GreenPatch

/// By libssh2, whose blocking calls park the green thread that makes them.  It is loaded when it is used first.
struct LibSSH2: Runner {
    typealias Pointer = UnsafeMutableRawPointer
    typealias Text = UnsafePointer<CChar>
    typealias OfOne = @convention(c) (Pointer) -> Int32
    private let makeSession: @convention(c) (Pointer?, Pointer?, Pointer?, Pointer?) -> Pointer?
    private let handshake: @convention(c) (Pointer, Int32) -> Int32
    private let hostKey: @convention(c) (Pointer, UnsafeMutablePointer<Int>, UnsafeMutablePointer<Int32>) -> Text?
    private let makeHosts: @convention(c) (Pointer) -> Pointer?
    private let readHosts: @convention(c) (Pointer, Text, Int32) -> Int32
    private let checkHost: @convention(c) (Pointer, Text, Int32, Text, Int, Int32, Pointer?) -> Int32
    private let freeHosts: @convention(c) (Pointer) -> Void
    private let authenticate: @convention(c) (Pointer, Text, UInt32, Text?, Text, Text?) -> Int32
    private let open: @convention(c) (Pointer, Text, UInt32, UInt32, UInt32, Text?, UInt32) -> Pointer?
    private let merge: @convention(c) (Pointer, Int32) -> Int32
    private let start: @convention(c) (Pointer, Text, UInt32, Text, UInt32) -> Int32
    private let read: @convention(c) (Pointer, Int32, Pointer, Int) -> Int
    private let closeChannel, waitClosed, status, freeChannel, freeSession: OfOne
    private let lastError: @convention(c) (Pointer, UnsafeMutablePointer<Text?>, Pointer?, Int32) -> Int32

    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    init() throws {
        // The hub for which it is installed.
        _ = Hub.current
        try GreenPatch.install(main: true)
        let library = try Library("libssh2.so.1")
        makeSession = try library.call("libssh2_session_init_ex")
        handshake = try library.call("libssh2_session_handshake")
        hostKey = try library.call("libssh2_session_hostkey")
        makeHosts = try library.call("libssh2_knownhost_init")
        readHosts = try library.call("libssh2_knownhost_readfile")
        checkHost = try library.call("libssh2_knownhost_checkp")
        freeHosts = try library.call("libssh2_knownhost_free")
        authenticate = try library.call("libssh2_userauth_publickey_fromfile_ex")
        open = try library.call("libssh2_channel_open_ex")
        merge = try library.call("libssh2_channel_handle_extended_data2")
        start = try library.call("libssh2_channel_process_startup")
        read = try library.call("libssh2_channel_read_ex")
        closeChannel = try library.call("libssh2_channel_close")
        waitClosed = try library.call("libssh2_channel_wait_closed")
        status = try library.call("libssh2_channel_get_exit_status")
        freeChannel = try library.call("libssh2_channel_free")
        freeSession = try library.call("libssh2_session_free")
        lastError = try library.call("libssh2_session_last_error")
        let begin: @convention(c) (Int32) -> Int32 = try library.call("libssh2_init")
        if begin(0) != 0 { throw Failed(description: "libssh2 has not begun") }
    }

    func run(_ command: String, on host: Host) throws -> (output: [UInt8], status: String) {
        try GreenPatch.call {
            let socket = try connect(to: host)
            guard let session = makeSession(nil, nil, nil, nil) else { throw Failed(description: "no memory") }
            defer {
                // Freeing says good-bye to a server that may hang; nothing goes out any more.
                shutdown(socket, Int32(SHUT_RDWR))
                _ = freeSession(session)
                close(socket)
            }
            try check(handshake(session, socket), session)
            try checkKey(of: host, session)
            try check(authenticate(session, host.user, UInt32(host.user.utf8.count), nil, KeyFiles.user, nil), session)
            return try run(command, session)
        }
    }

    private func run(_ command: String, _ session: Pointer) throws -> (output: [UInt8], status: String) {
        guard let channel = open(session, "session", 7, 2 << 20, 32768, nil, 0) else { throw error(of: session) }
        defer { _ = freeChannel(channel) }
        // What the command complains of comes among what it prints; unread it would hold the command up.
        try check(merge(channel, 2), session)
        try check(start(channel, "exec", 4, command, UInt32(command.utf8.count)), session)
        let piece = Pointer.allocate(byteCount: 16384, alignment: 1)
        defer { piece.deallocate() }
        var output: [UInt8] = []
        while case let count = read(channel, 0, piece, 16384), count != 0 {
            if count < 0 { throw error(of: session) }
            output += UnsafeRawBufferPointer(start: piece, count: count)
            if output.count > 1 << 20 { throw Failed(description: "more than \(1 << 20) bytes of output") }
        }
        try check(closeChannel(channel), session)
        try check(waitClosed(channel), session)
        return (output, "status \(status(channel))")
    }

    /// A host that is not known, or has another key than before, may be another machine.
    private func checkKey(of host: Host, _ session: Pointer) throws {
        var (length, kind) = (0, Int32(0))
        guard let key = hostKey(session, &length, &kind), let hosts = makeHosts(session) else {
            throw error(of: session)
        }
        defer { freeHosts(hosts) }
        if readHosts(hosts, KeyFiles.knownHosts, 1) < 0 {
            throw Failed(description: "cannot read \(KeyFiles.knownHosts)")
        }
        // A name as it is, a key as it is.
        let kinds: Int32 = 1 | 1 << 16
        switch checkHost(hosts, host.host, Int32(host.port), key, length, kinds, nil) {
        case 0: return
        case 1: throw Failed(description: "the host's key is another one than in \(KeyFiles.knownHosts)")
        default: throw Failed(description: "the host's key is not in \(KeyFiles.knownHosts)")
        }
    }

    private func connect(to host: Host) throws -> Int32 {
        var (hints, found): (addrinfo, UnsafeMutablePointer<addrinfo>?) = (addrinfo(), nil)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let result = getaddrinfo(host.host, "\(host.port)", &hints, &found)
        guard result == 0 else { throw Failed(description: String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(found) }
        var reason: Int32 = 0
        for address in sequence(first: found!, next: { $0.pointee.ai_next }) {
            let address = address.pointee
            let socket = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
            if socket >= 0, Glibc.connect(socket, address.ai_addr, address.ai_addrlen) == 0 { return socket }
            reason = errno
            if socket >= 0 { close(socket) }
        }
        throw Failed(description: "cannot connect: \(String(cString: strerror(reason)))")
    }

    private func check(_ result: Int32, _ session: Pointer) throws { if result != 0 { throw error(of: session) } }

    private func error(of session: Pointer) -> Failed {
        var text: Text?
        _ = lastError(session, &text, nil, 0)
        return Failed(description: text.map { String(cString: $0) } ?? "libssh2 says no reason")
    }
}
