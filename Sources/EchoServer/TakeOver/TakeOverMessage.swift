import Glibc
import GreenNet

/// What two instances of the server say to each other, a line each.
///
///     the next one                         the one that serves
///     echo-server-take-over 1    ->
///                                <-        listeners 2 1, and with it 3 descriptors: of the service, then of the admin interface
///     serving                    ->
///                                <-        draining
///
/// Where the one that serves can't do it, it answers `error` with the reason, and goes on.
enum TakeOverMessage: Equatable {
    case ask(version: Int)
    case listeners(service: Int, admin: Int)
    case serving
    case draining
    case error(String)

    /// The version of this program: another one has other messages.
    static let version = 1

    /// What the other instance takes to answer, at most; it may have to start its workers between two lines.
    static let time = Duration.seconds(30)

    static let longest = 1024

    var line: String {
        switch self {
        case .ask(let version): "echo-server-take-over \(version)"
        case .listeners(let service, let admin): "listeners \(service) \(admin)"
        case .serving: "serving"
        case .draining: "draining"
        case .error(let reason): "error \(reason)"
        }
    }

    /// Nil for any other line.
    init?(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        let numbers = (words.count == 2 ? words[1] : "").split(separator: " ").compactMap { Int($0) }
        switch (words.first, numbers.count) {
        case ("echo-server-take-over", 1): self = .ask(version: numbers[0])
        case ("listeners", 2) where numbers.allSatisfy({ (0...Connection.mostDescriptors).contains($0) }):
            self = .listeners(service: numbers[0], admin: numbers[1])
        case ("serving", _): self = .serving
        case ("draining", _): self = .draining
        case ("error", _): self = .error(words.count == 2 ? words[1] : "")
        default: return nil
        }
    }
}

/// Why a take-over came to nothing, in words.
struct TakeOverProblem: Error, Equatable, CustomStringConvertible {
    let description: String

    static let hungUp = TakeOverProblem("the other instance has hung up")

    init(_ description: String) { self.description = description }
}

extension Connection {
    func send(_ message: TakeOverMessage) throws {
        try sendAll(message.line + "\n", until: .after(TakeOverMessage.time))
    }

    /// Waits for the other instance's next line, and for up to `count` descriptors that come with it.  Throws where no line comes, or one without a meaning.
    func receiveMessage(descriptors count: Int = 0) throws -> (message: TakeOverMessage, descriptors: [Int32]) {
        var (bytes, descriptors) = ([UInt8](), [Int32]())
        let end = Deadline.after(TakeOverMessage.time)
        while bytes.last != UInt8(ascii: "\n"), bytes.count <= TakeOverMessage.longest,
            let more = try receiveDescriptors(upTo: count, until: end)
        {
            bytes += more.bytes
            descriptors += more.descriptors
        }
        let line = String(decoding: bytes.dropLast(), as: UTF8.self)
        if bytes.last == UInt8(ascii: "\n"), let message = TakeOverMessage(line) { return (message, descriptors) }
        for descriptor in descriptors { _ = Glibc.close(descriptor) }
        throw bytes.isEmpty ? .hungUp : TakeOverProblem("'\(line.escaped)' is no message")
    }
}
