import Glibc
import GreenNet

/// A line that the server sends before it has received anything, from a template such as `{server} {peer}`.
struct Banner: Equatable, Sendable {
    let template: String
    private let parts: [Part]

    private enum Part: Equatable {
        case text(String)
        case place(Place)
    }

    /// What a template can have between braces.
    private enum Place: String, CaseIterable {
        case server, model, pid, peer
        case proxiedPeer = "proxied_peer"
        case time
    }

    static let standard = "{server} {model} {pid} {peer} {proxied_peer} {time}"
    static let longest = 1024
    static let rule = "a line of 1 to \(longest) bytes, with \(placeNames)"
    static let placeNames = Place.allCases.map { "{\($0.rawValue)}" }.joined(separator: ", ")

    /// Nil where the text is no template.
    init?(_ template: String) {
        guard Banner.complaint(about: template) == nil else { return nil }
        self.template = template
        parts = Banner.parts(of: template)
    }

    /// Why a text is no template; nil where it is.
    @Sendable
    static func complaint(about template: String) -> String? {
        if !(1...longest).contains(template.utf8.count) { return "it has \(template.utf8.count) bytes" }
        if template.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
            return "it has a control character"
        }
        for case .text(let text) in parts(of: template) where text.contains("{") {
            return "'\(text.drop { $0 != "{" })' begins with no known name"
        }
        return nil
    }

    private static func parts(of template: String) -> [Part] {
        var (parts, rest) = ([Part](), Substring(template))
        while let start = rest.firstIndex(of: "{"), let end = rest[start...].firstIndex(of: "}"),
            let place = Place(rawValue: String(rest[rest.index(after: start)..<end]))
        {
            parts += [.text(String(rest[..<start])), .place(place)]
            rest = rest[rest.index(after: end)...]
        }
        return parts + [.text(String(rest))]
    }

    /// The line for a connection, with its end.
    func bytes(for peer: SocketAddress, _ client: SocketAddress, _ model: ModelKind) -> [UInt8] {
        let texts = parts.map { part in
            switch part {
            case .text(let text): text
            case .place(.server): "echo-server/\(Version.number)"
            case .place(.model): model.name
            case .place(.pid): "\(getpid())"
            case .place(.peer): "\(peer)"
            case .place(.proxiedPeer): client == peer ? "-" : "\(client)"
            case .place(.time): Banner.now
            }
        }
        return Array((texts.joined() + "\n").utf8)
    }

    private static var now: String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return String(decoding: LogLine.timestamp(time), as: UTF8.self)
    }
}
