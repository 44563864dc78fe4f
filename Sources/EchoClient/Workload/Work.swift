import Glibc
import GreenNet
import ProgramKit

/// What the tasks of a workload do.
enum Work: String, CaseIterable, Sendable {
    case computation, disk, network, sleep

    /// One task, in words.
    var meaning: String {
        switch self {
        case .computation: "computes for about \(Work.milliseconds) ms"
        case .disk: "writes \(DiskTask.pieces) MiB to a file, each forced to the disk, and reads them back"
        case .network:
            "asks a server \(Work.questions) times, which takes \(Work.answerTime.inSeconds.fixed(3)) s for each answer"
        case .sleep: "sleeps for \(Work.milliseconds) ms, as if it waited for something"
        }
    }

    /// About as long as a task takes by itself.
    static let milliseconds = 100
    static let questions = 50
    static let answerTime = Duration.milliseconds(2)
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

    var words: [String] { ["\(rounds)", directory, "\(port)"] }

    init() {}

    init?(_ words: [String]) {
        guard words.count == 3, let rounds = Int(words[0]), let port = UInt16(words[2]) else { return nil }
        (self.rounds, directory, self.port) = (rounds, words[1], port)
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
    static func calibratedRounds() -> Int {
        let some = 2_000_000
        let times = (0..<3).map { _ in
            let start = Deadline.now
            blackHole(run(some))
            return (Deadline.now - start).inSeconds
        }
        return max(1, Int(Double(some) * Double(Work.milliseconds) / 1000 / max(times.min()!, 1e-6)))
    }

    @inline(never)
    static func blackHole(_ value: UInt64) { if value == 0 { StandardStreams.complain("a generator has stopped") } }
}

// MARK: The disk

/// A file of its own, which is gone again at once.  The calls block: there is no other way to a file.
struct DiskTask {
    static let pieces = 4
    private static let pieceSize = 1 << 20

    static func run(in directory: String) throws {
        var name = Array("\(directory)/echo-client-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        guard file >= 0 else { throw Failure.notWritten(directory, SystemError(errno)) }
        defer { close(file) }
        unlink(name)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 4096)
        defer { piece.deallocate() }
        for number in 0..<pieces {
            piece.initializeMemory(as: UInt8.self, repeating: UInt8(number))
            guard write(file, piece.baseAddress, piece.count) == piece.count, fdatasync(file) == 0 else {
                throw Failure.notWritten(directory, SystemError(errno))
            }
        }
        lseek(file, 0, SEEK_SET)
        for number in 0..<pieces {
            guard read(file, piece.baseAddress, piece.count) == piece.count, piece.allSatisfy({ $0 == UInt8(number) })
            else { throw Failure.notWritten(directory, SystemError(EIO)) }
        }
    }
}
