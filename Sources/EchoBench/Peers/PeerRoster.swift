/// A server of the comparison with peers.
struct Peer {
    enum Program {
        /// One in C beside this package's sources; the size of its buffer is its user's choice.
        case floor(String)
        /// Written in another language, for `PeerBuild`; the same holds for its buffer.
        case built(String)
        case other([String])
        case echoServer([String])
    }

    let name: String
    let program: Program
    /// Of a program that had to be built.
    var words: [String] = []

    /// Measured with bulk only: what the usual buffer does to it.
    static let smallBuffer = "C epoll, 16 KiB"
    /// Its compiler has written debug information that not every valgrind can read.
    var isSwift: Bool {
        if case .echoServer = program { return true }
        return name == "SwiftNIO"
    }

    /// 64 KiB for bulk, and else the 16 KiB that are usual, where the user can choose.
    func start(for load: PeerLoad?) -> ServerStart {
        let buffer = load == .bulk && name != Peer.smallBuffer ? ["--buffer", "65536"] : []
        return switch program {
        case .floor(let file): ServerStart(name: name, words: ["\(GeneratorStart.folder)/\(file)"] + buffer)
        case .built: ServerStart(name: name, words: words + buffer)
        case .other(let words), .echoServer(let words): ServerStart(name: name, words: words)
        }
    }
}

/// The servers, in the order of the tables.
struct PeerRoster {
    private(set) var peers: [Peer]
    /// Why others are missing.
    private(set) var missing: [String] = []

    /// All that are wanted; the floors and the user's own always are.
    init(server: String, also: [NamedCommand], isWanted: (String) -> Bool) {
        let known = PeerRoster.known(server).filter { $0.name.hasPrefix(ModelContender.floor) || isWanted($0.name) }
        peers = known + also.map { Peer(name: $0.name, program: .other($0.words)) }
    }

    private static func known(_ server: String) -> [Peer] {
        func ours(_ model: String, _ options: [String] = []) -> Peer {
            Peer(name: model, program: .echoServer([server, "--port", "0"] + options))
        }
        return [
            Peer(name: ModelContender.floor, program: .floor("epoll-floor")),
            Peer(name: ModelContender.again, program: .floor("epoll-floor")),
            Peer(name: Peer.smallBuffer, program: .floor("epoll-floor")),
            Peer(name: "C libev", program: .built("libev")), Peer(name: "Rust tokio", program: .built("tokio")),
            Peer(name: "Photon", program: .built("photon")),
            Peer(name: "Photon, io_uring", program: .built("photon-uring")),
            Peer(name: "Boost.Asio", program: .built("asio")), Peer(name: "Go net", program: .built("go")),
            Peer(name: "SwiftNIO", program: .built("nio")), Peer(name: "Python uvloop", program: .built("uvloop")),
            Peer(name: "Python gevent", program: .built("gevent")), ours("green"),
            Peer(name: "C thread", program: .floor("thread-floor")), ours("thread", ["--model", "thread"]),
            Peer(name: "C fork", program: .floor("fork-floor")), ours("process", ["--model", "process"]),
        ]
    }

    /// Builds those that need it.  One that can't be built is left out, and named.
    mutating func build() {
        peers = peers.compactMap { peer in
            guard case .built(let name) = peer.program else { return peer }
            Progress.show("building \(peer.name)")
            var peer = peer
            do { peer.words = try PeerBuild.words(of: name) } catch {
                missing.append("\(peer.name) \(error)")
                return nil
            }
            return peer
        }
    }

    mutating func note(missing text: String) { missing.append(text) }
}
