import Glibc
import TestSupport
import Testing

@testable import GreenNet
@testable import GreenTLS

let certificates = Certificates.all

extension Identity {
    var certificateSource: PEMSource { .pem(certificate) }
    var keySource: PEMSource { .pem(key) }
}

/// A client's context that believes the tests' authority.
func clientContext(
    _ identity: Identity? = nil, protocols: [String] = [], minimumVersion: TLSVersion = .tls12,
    checksServer: Bool = true
) throws -> TLSContext {
    try .client(
        roots: .pem(certificates.authority.certificate), certificate: identity?.certificateSource,
        key: identity?.keySource, protocols: protocols, minimumVersion: minimumVersion, checksServer: checksServer)
}

func serverContext(
    _ identity: Identity = certificates.server, clientAuthorities: PEMSource? = nil, protocols: [String] = [],
    minimumVersion: TLSVersion = .tls12
) throws -> TLSContext {
    try .server(
        certificate: identity.certificateSource, key: identity.keySource, clientAuthorities: clientAuthorities,
        protocols: protocols, minimumVersion: minimumVersion)
}

/// Two connections, one to the other, over TCP.
func connectedConnections() throws -> (client: Connection, server: Connection) {
    let listener = try Listener(on: .loopback(port: 0))
    let client = try Connection.connect(to: listener.address)
    return (client, try listener.accept())
}

/// Both sides of TLS, before the handshake.
func unreadyPair(
    client: TLSContext, server: TLSContext, serverName: String? = "localhost"
) throws -> (client: TLSConnection, server: TLSConnection) {
    let (below, other) = try connectedConnections()
    return (
        try TLSConnection(below, client, serverName: serverName), try TLSConnection(other, server)
    )
}

/// Both sides of TLS, after the handshake.
func connectedPair(
    client: TLSContext? = nil, server: TLSContext? = nil, serverName: String? = "localhost"
) throws -> (client: TLSConnection, server: TLSConnection) {
    let pair = try unreadyPair(
        client: client ?? clientContext(), server: server ?? serverContext(), serverName: serverName)
    let serving = spawn { try pair.server.handshake(until: .after(.seconds(20))) }
    try pair.client.handshake(until: .after(.seconds(20)))
    try serving.value()
    return pair
}

/// How the handshakes of both sides end; nil where one succeeds.  A client with TLS 1.3 is told that it is refused when it receives, which counts too.
func handshakeErrors(
    client: TLSContext, server: TLSContext, serverName: String? = "localhost"
) throws -> (client: TLSError?, server: TLSError?) {
    let pair = try unreadyPair(client: client, server: server, serverName: serverName)
    let serving = spawn {
        failure { () throws(TLSError) in
            try pair.server.handshake(until: .after(.seconds(20)))
            try pair.server.shutdownSending(until: .never)
        }
    }
    let error = failure { () throws(TLSError) in
        try pair.client.handshake(until: .after(.seconds(20)))
        _ = try pair.client.receive(until: .after(.seconds(20)))
    }
    defer {
        pair.client.close()
        pair.server.close()
    }
    return (error, try serving.value())
}

/// The error that `body` threw; nil if it returned.
func failure<Value, Failure: Error>(of body: () throws(Failure) -> Value) -> Failure? {
    do throws(Failure) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}

extension TLSError {
    /// The reason's case alone, such as `wrongName`.
    var kind: String { String("\(reason)".prefix { $0 != "(" }) }

    var alertName: String? {
        if case .alert(let alert) = reason { alert.name } else { nil }
    }
}

extension TLSConnection {
    /// What comes up to the end of the stream.
    func receiveAll(until deadline: Deadline = .after(.seconds(20))) throws(TLSError) -> [UInt8] {
        var bytes: [UInt8] = []
        while let more = try receive(until: deadline) { bytes += more }
        return bytes
    }
}

/// Bytes of which no part resembles another.
func pattern(_ count: Int, seed: UInt64 = 0) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

/// For many bytes: the issue names the first difference only.
func expectSame(_ bytes: [UInt8], _ wanted: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
    if bytes == wanted { return }
    let place = zip(bytes, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    Issue.record(
        "\(bytes.count) bytes in place of \(wanted.count), different from \(place ?? min(bytes.count, wanted.count)) on",
        sourceLocation: sourceLocation)
}

/// Polls `condition` until it is true, and lets the other green threads run between two polls.
func waitUntil(sourceLocation: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool) throws {
    let deadline = Deadline.after(.seconds(10) * Sanitizer.slowness)
    while try !condition() {
        try #require(!deadline.hasPassed, "it never came", sourceLocation: sourceLocation)
        try Greenlet.sleep(for: .milliseconds(1))
    }
}
