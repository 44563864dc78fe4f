import Glibc
import GreenNet
import ProgramKit

/// What the tasks of a workload do.
enum Work: String, CaseIterable, Sendable {
    case computation, disk, network, sleep

    /// One task, which takes about `length` by itself, in words.
    func meaning(_ length: Duration) -> String {
        let (pieces, questions) = (DiskTask.pieces(length), Work.questions(length))
        return switch self {
        case .computation: "computes for about \(shortTime(length.inSeconds * 1e9))"
        case .disk: "writes \(pieces) MiB to a file, each forced to the disk, and reads them back"
        case .network:
            "asks a server \(questions == 1 ? "once" : "\(questions) times"), which takes \(Work.answerTime.inSeconds.fixed(3)) s for each answer"
        case .sleep: "sleeps for \(shortTime(length.inSeconds * 1e9)), as if it waited for something"
        }
    }

    static let answerTime = Duration.milliseconds(2)

    /// One at least.
    static func questions(_ length: Duration) -> Int { max(1, Int((length / answerTime).rounded())) }
}

/// How the tasks of a workload are kept apart.
enum Way: String, CaseIterable, Sendable {
    case oneThread = "one thread"
    case threads = "many threads"
    case processes = "many processes"
    case greenThreads = "green threads"
}

/// What all tasks of a run need to know.
struct WorkFacts: Equatable, Sendable {
    /// Rounds of the computation that take a task's time on this machine.
    var rounds = 0
    var directory = "/tmp"
    /// Of the server for the network.
    var port: UInt16 = 0
    /// About as long as a task takes by itself.
    var length = Duration.milliseconds(100)

    var words: [String] { ["\(rounds)", directory, "\(port)", "\(length.nanoseconds)"] }

    init() {}

    init?(_ words: [String]) {
        guard words.count == 4, let rounds = Int(words[0]), let port = UInt16(words[2]), let length = Int64(words[3])
        else { return nil }
        (self.rounds, directory, self.port, self.length) = (rounds, words[1], port, .nanoseconds(length))
    }
}

// MARK: Computing

/// Steps of a random generator: nothing but arithmetic, which no compiler can leave out.
enum ComputingTask {
    @inline(never)
    static func run(_ rounds: Int) -> UInt64 {
        // Of the moment: the result of one run would else do for the next.
        var state = UInt64(Deadline.now.nanoseconds) | 1
        for _ in 0..<rounds {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
        }
        return state
    }

    /// How many rounds take a task's time here; by the best of some tries, for others may have been at work.
    static func calibratedRounds(_ length: Duration) -> Int {
        let some = 2_000_000
        let times = (0..<3).map { _ in
            let start = Deadline.now
            blackHole(run(some))
            return (Deadline.now - start).inSeconds
        }
        return max(1, Int(Double(some) * length.inSeconds / max(times.min()!, 1e-6)))
    }

    @inline(never)
    static func blackHole(_ value: UInt64) { if value == 0 { StandardStreams.complain("a generator has stopped") } }
}

// MARK: The disk

/// A file of its own, which is gone again at once.  The calls block: there is no other way to a file.
struct DiskTask {
    private static let pieceSize = 1 << 20
    /// A file has no more: what a task writes further replaces what it has written.
    private static let piecesOfFile = 4

    /// As many as a disk that takes some time for each has done after `length`; one at least.
    static func pieces(_ length: Duration) -> Int { max(1, Int((length / .milliseconds(25)).rounded())) }

    static func run(in directory: String, pieces: Int) throws {
        var name = Array("\(directory)/echo-client-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        guard file >= 0 else { throw Failure.notWritten(directory, SystemError(errno)) }
        defer { close(file) }
        unlink(name)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 4096)
        defer { piece.deallocate() }
        for first in stride(from: 0, to: pieces, by: piecesOfFile) {
            let numbers = first..<min(first + piecesOfFile, pieces)
            for number in numbers {
                piece.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number))
                let place = (number - first) * pieceSize
                guard pwrite(file, piece.baseAddress, piece.count, place) == piece.count, fdatasync(file) == 0 else {
                    throw Failure.notWritten(directory, SystemError(errno))
                }
            }
            for number in numbers {
                let place = (number - first) * pieceSize
                guard pread(file, piece.baseAddress, piece.count, place) == piece.count,
                    piece.allSatisfy({ $0 == UInt8(truncatingIfNeeded: number) })
                else { throw Failure.notWritten(directory, SystemError(EIO)) }
            }
        }
    }
}
