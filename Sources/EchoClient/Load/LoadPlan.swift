import GreenNet
import ProgramKit

/// What a connection does under load.
enum LoadMode: String, CaseIterable, Sendable {
    /// Keeps messages in flight, or sends them at a rate.
    case steady
    /// Connects, has one message answered, closes, and begins again.
    case churn
    /// Stays open, and has one message answered at the end, not all at once.
    case hold
    /// Sends as fast as the service takes it, whatever has been answered.
    case bulk
}

/// What is to be done, by all or by one process's share of it.
struct LoadPlan: Equatable, Sendable {
    var target: SocketAddress
    /// Nil without TLS.
    var tls: TLSClient?
    /// Nil where no header of the PROXY protocol is sent.
    var proxyHeader: ProxyHeader.Version?
    var mode = LoadMode.steady
    /// Of all processes together.
    var connections = 50
    /// Those that are this share's own.
    var own = 0..<50
    var size = 64
    var depth = 1
    var duration: Duration? = .seconds(10)
    /// Of all connections together.
    var messages: Int?
    /// Messages a second, of all connections together.
    var rate: Double?
    var ramp = Duration.zero
    var sources: [SocketAddress] = []
    var threads = 1
    var timeout = Duration.seconds(5)
    /// How long answers are waited for after the duration.
    var patience = LoadPlan.shortPatience
    /// A failure ends it, also while the connections are opened.
    var endsAtFailure = false
    var transform = ExpectedTransform.any

    /// A run ends within a second of its time, or of the signal that stops it.
    static let shortPatience = Duration.milliseconds(500)

    /// The part of the `number`th of `count` processes, or OS threads.
    func share(_ number: Int, of count: Int) -> LoadPlan {
        var share = self
        let (low, size) = (own.lowerBound, own.count)
        share.own = low + size * number / count..<low + size * (number + 1) / count
        return share
    }

    /// How many messages connection `number` shall send; `Int.max` where only time ends it.
    func quota(of number: Int) -> Int {
        guard let messages else { return .max }
        return messages / connections + (number < messages % connections ? 1 : 0)
    }

    /// Where the `count`th connection that is opened comes from; nil leaves it to the kernel.
    ///
    /// Each address has some 28,000 ports, and one that was closed is not free again for a minute.  A machine has all of 127.0.0.0/8.
    func source(_ count: Int) -> SocketAddress? {
        if !sources.isEmpty { return sources[count % sources.count] }
        guard case .ipv4(let address, _) = target, "\(address)".hasPrefix("127.") else { return nil }
        let number = mode == .churn ? count % 250 : count / 20_000
        return number == 0 ? nil : SocketAddress(ip: "127.0.\(number / 250).\(number % 250 + 1)", port: 0)
    }
}

// MARK: As words, for another process

extension LoadPlan {
    var words: [String] {
        var words = [
            "target=\(LoadPlan.text(of: target))", "mode=\(mode.rawValue)", "connections=\(connections)",
            "own=\(own.lowerBound):\(own.upperBound)", "size=\(size)", "depth=\(depth)",
            "ramp=\(ramp.nanoseconds)", "threads=\(threads)", "timeout=\(timeout.nanoseconds)",
            "patience=\(patience.nanoseconds)", "ends-at-failure=\(endsAtFailure)",
            "transform=\(transform.rawValue)",
        ]
        if let tls {
            words += ["tls-name=\(tls.name)", "tls-insecure=\(tls.isInsecure)"]
            if let authorities = tls.authorities { words.append("tls-ca=\(authorities)") }
        }
        if let proxyHeader { words.append("send-proxy=\(proxyHeader.rawValue)") }
        words += sources.map { "source=\(LoadPlan.text(of: $0))" }
        if let duration { words.append("duration=\(duration.nanoseconds)") }
        if let messages { words.append("messages=\(messages)") }
        if let rate { words.append("rate=\(rate)") }
        return words
    }

    /// Nil where they make no plan.
    init?(words: [String]) {
        guard let target = words.compactMap({ LoadPlan.value("target", $0) }).first.flatMap(LoadPlan.address) else {
            return nil
        }
        self.init(target: target, duration: nil)
        for word in words where !read(word) { return nil }
    }

    private mutating func read(_ word: String) -> Bool {
        let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return false }
        let text = parts[1]
        switch parts[0] {
        case "target": return true
        case "mode": return LoadPlan.set(&mode, LoadMode(rawValue: text))
        case "transform": return LoadPlan.set(&transform, ExpectedTransform(rawValue: text))
        case "connections": return LoadPlan.set(&connections, Int(text))
        case "own": return LoadPlan.set(&own, LoadPlan.range(text))
        case "size": return LoadPlan.set(&size, Int(text))
        case "depth": return LoadPlan.set(&depth, Int(text))
        case "threads": return LoadPlan.set(&threads, Int(text))
        case "ramp": return LoadPlan.set(&ramp, Int64(text).map { .nanoseconds($0) })
        case "timeout": return LoadPlan.set(&timeout, Int64(text).map { .nanoseconds($0) })
        case "patience": return LoadPlan.set(&patience, Int64(text).map { .nanoseconds($0) })
        case "ends-at-failure": return LoadPlan.set(&endsAtFailure, Bool(text))
        case "duration": return LoadPlan.set(&duration, Int64(text).map { .nanoseconds($0) })
        case "messages": return LoadPlan.set(&messages, Int(text))
        case "rate": return LoadPlan.set(&rate, Double(text))
        case "tls-name":
            tls = TLSClient(name: text, isInsecure: false)
            return true
        case "tls-insecure": return Bool(text).map { tls?.isInsecure = $0 } != nil && tls != nil
        case "tls-ca":
            tls?.authorities = text
            return tls != nil
        case "send-proxy": return LoadPlan.set(&proxyHeader, ProxyHeader.Version(rawValue: text).map { .some($0) })
        case "source": return LoadPlan.address(text).map { sources.append($0) } != nil
        default: return false
        }
    }

    private static func set<Value>(_ target: inout Value, _ value: Value?) -> Bool {
        guard let value else { return false }
        target = value
        return true
    }

    private static func range(_ text: String) -> Range<Int>? {
        let ends = text.split(separator: ":").compactMap { Int($0) }
        return ends.count == 2 && ends[0] <= ends[1] ? ends[0]..<ends[1] : nil
    }

    private static func value(_ name: String, _ word: String) -> String? {
        word.hasPrefix("\(name)=") ? String(word.dropFirst(name.count + 1)) : nil
    }

    private static func text(of address: SocketAddress) -> String {
        if case .unix(let path) = address { "unix:\(path)" } else { "\(address)" }
    }

    private static func address(_ text: String) -> SocketAddress? {
        if text.hasPrefix("unix:") { return .unix(path: String(text.dropFirst(5))) }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        return SocketAddress(ip: text[..<colon].filter { $0 != "[" && $0 != "]" }, port: port)
    }
}
