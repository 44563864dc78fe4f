import GreenNet

/// Answers datagrams at one socket, a batch after the other.
///
/// Belongs to the hub of the process that was started, whatever processes serve the connections.
final class DatagramService {
    let socket: Datagram
    private let place: DatagramPlace
    /// A reload may change its settings.
    var entry: ListenEntry
    /// Of all sockets of the server: what comes from one of them is an answer.
    @exclusivity(unchecked)
    var ownPorts: Set<UInt16> = []
    private let live: LiveSettings
    private let counters: CounterRow
    private let questions = DatagramBatch(capacity: capacity, size: longest)
    private let answers = DatagramBatch(capacity: capacity, size: longest)
    @exclusivity(unchecked)
    private var limit: SourceLimit

    private static let capacity = 32
    private static let longest = 65_535

    init(_ socket: Datagram, _ place: DatagramPlace, _ live: LiveSettings, _ counters: CounterRow) {
        (self.socket, self.place, self.live, self.counters) = (socket, place, live, counters)
        entry = place.entry
        limit = SourceLimit(rate: entry.settings(live.now).services.datagramRate)
    }

    /// Whether datagrams that are wanted at `place` come here already.
    func serves(_ place: DatagramPlace) -> Bool { self.place.address == place.address }

    /// Until the socket is closed.
    func run() throws {
        do { try answerAll() } catch { if !error.isClosed { throw error } }
    }

    private func answerAll() throws {
        while true {
            do throws(NetError) { try socket.receive(into: questions) } catch {
                // The kernel reports what has become of an earlier answer.
                if error.waitError == nil { continue }
                throw error
            }
            let settings = entry.settings(live.now)
            answers.removeAll()
            let now = Deadline.now
            for question in questions where admits(question, settings.clients, now) { answer(question, settings) }
            try sendAnswers()
        }
    }

    /// Other services answer from ports below 1024, and others of this kind from the same ports: two of them would answer each other for ever.
    private func admits(_ question: DatagramBatch.Item, _ clients: ClientPolicy, _ now: Deadline) -> Bool {
        let peer = question.peer
        counters.add(to: .datagramsReceived)
        guard let port = peer.port, port >= DatagramService.firstClientPort, !ownPorts.contains(port) else {
            counters.add(to: .datagramsRefused)
            return false
        }
        if clients.denies(peer) {
            counters.add(to: .datagramsDenied)
            return false
        }
        guard limit.admits(peer, now: now) else {
            counters.add(to: .datagramsLimited)
            return false
        }
        return true
    }

    private static let firstClientPort = 1024

    /// An answer is no longer than its question, except for that of `daytime` and `time`, so that it is of no use in a flood.
    private func answer(_ question: DatagramBatch.Item, _ settings: Settings) {
        let bytes = question.bytes
        switch settings.services.service {
        case .echo where settings.transform.isInPlace:
            settings.transform.apply(to: bytes)
            append(UnsafeRawBufferPointer(bytes), to: question)
        case .echo where settings.transform == .reverse:
            LineHandler.reversed(linesOf: bytes).withUnsafeBytes { append($0, to: question) }
        // `whoami` is refused with the settings.
        case .echo, .discard: break
        case .chargen: CharacterGenerator.bytes(bytes.count).withUnsafeBytes { append($0, to: question) }
        case .daytime, .time: settings.services.service.answer()!.withUnsafeBytes { append($0, to: question) }
        }
    }

    /// From the address that was asked: a peer that is connected hears no other one.
    private func append(_ answer: UnsafeRawBufferPointer, to question: DatagramBatch.Item) {
        try? answers.append(answer, to: question.peer, from: question.localAddress)
    }

    /// An answer that the kernel refuses, such as one for a network that cannot be reached, is left out.
    private func sendAnswers() throws {
        var (next, failed) = (0, 0)
        while next < answers.count {
            do throws(NetError) {
                try socket.send(answers, from: next)
                next = answers.count
            } catch {
                if error.waitError != nil { throw error }
                failed += 1
                next = answers.sent + 1
            }
        }
        counters.add(answers.count - failed, to: .datagramsAnswered)
        counters.add(failed, to: .datagramsFailed)
    }
}
