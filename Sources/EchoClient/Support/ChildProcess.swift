import Glibc
import GreenNet

/// Another program (or this one once more) that runs beside this one and is spoken to over pipes.
///
/// Whoever starts one calls `end()`, on every way out.  Belongs to the hub that started it.
final class ChildProcess {
    let pid: pid_t
    /// What is written here is its standard input.
    private var input: Int32
    private var outputs: [Output: LineReader]
    private(set) var status: Int32?

    enum Output: Int32, CaseIterable {
        case standardOutput = 1
        case standardError = 2
    }

    /// Starts `words`, with what is in `environment` besides this process's own; what it writes to `captured` is read here, the
    /// rest goes where this process's goes.  Ctrl-C is for this process and not for that one, which the kernel kills when this one ends,
    /// however it ends; or it sees the end of its standard input, where it `hasWorkAtEnd`.
    ///
    /// To be called from the process's first OS thread.
    init(
        _ words: [String], environment: [String: String] = [:], capturing captured: Set<Output>,
        hasWorkAtEnd: Bool = false
    ) throws {
        let inputPipe = try Pipe()
        var pipes: [Output: Pipe] = [:]
        do {
            for output in captured { pipes[output] = try Pipe() }
            pid = try ChildProcess.start(words, environment, input: inputPipe, pipes, hasWorkAtEnd)
        } catch {
            for pipe in [inputPipe] + pipes.values { pipe.close() }
            throw error
        }
        close(inputPipe.reading)
        input = inputPipe.writing
        for pipe in pipes.values { Glibc.close(pipe.writing) }
        outputs = pipes.mapValues { LineReader($0.reading) }
    }

    /// The next line that it writes there, without its end; nil when there are no more.
    func readLine(_ output: Output, until deadline: Deadline = .never) throws -> String? {
        try outputs[output]!.next(until: deadline)
    }

    /// What it no longer reads is lost.
    func writeLine(_ line: String) {
        var line = line + "\n"
        guard input >= 0 else { return }
        line.withUTF8 { bytes in try? BorrowedDescriptor(input).writeAll(UnsafeRawBufferPointer(bytes)) }
    }

    func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    func send(_ signal: Int32) { if status == nil { kill(pid, signal) } }

    /// Waits until it has ended.  False where it still runs at `deadline`.
    func waitForEnd(until deadline: Deadline = .never) throws -> Bool {
        // The hub has no SIGCHLD of its own; the end comes seldom.
        while !hasEnded {
            if deadline.hasPassed { return false }
            try Greenlet.sleep(for: .milliseconds(5))
        }
        return true
    }

    var hasEnded: Bool {
        var number: Int32 = 0
        if status == nil, waitpid(pid, &number, WNOHANG) == pid { status = number }
        return status != nil
    }

    /// Kills it if it runs, and closes what this process holds of it.
    func end() {
        send(SIGKILL)
        if status == nil {
            var number: Int32 = 0
            if waitpid(pid, &number, 0) == pid { status = number }
        }
        closeInput()
        for reader in outputs.values { reader.close() }
    }

    // MARK: Starting

    private static func start(
        _ words: [String], _ environment: [String: String], input: Pipe, _ pipes: [Output: Pipe], _ hasWorkAtEnd: Bool
    ) throws -> pid_t {
        var start = ProgramStart(words, environment: ChildProcess.environment(adding: environment))
        if hasWorkAtEnd { start.signalAtEnd = nil }
        start.streams[0] = input.reading
        for (output, pipe) in pipes { start.streams[Int(output.rawValue)] = pipe.writing }
        do throws(SystemError) { return try start.start() } catch { throw Failure.notStarted(words[0], error) }
    }

    /// This process's, without what is set for a service of this machine: that is not for those that are measured.
    static var ownEnvironment: [String] {
        var variables: [String] = []
        var next = environ
        while let variable = next.pointee {
            variables.append(String(cString: variable))
            next += 1
        }
        return variables.filter { !$0.hasPrefix("ECHO_SERVER_") }
    }

    private static func environment(adding added: [String: String]) -> [String] {
        ownEnvironment.filter { variable in !added.keys.contains { variable.hasPrefix("\($0)=") } }
            + added.map { "\($0)=\($1)" }
    }
}

struct Pipe {
    let reading: Int32
    let writing: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure.noPipe(SystemError(errno)) }
        (reading, writing) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    func close() { for end in [reading, writing] { Glibc.close(end) } }

    /// In one piece with nothing else in between.
    func writeNumber(_ number: Double) -> Bool {
        withUnsafeBytes(of: number) { write(writing, $0.baseAddress, $0.count) == $0.count }
    }

    /// Blocks until there is one.
    func readNumber() -> Double? {
        var number = 0.0
        return withUnsafeMutableBytes(of: &number) { read(reading, $0.baseAddress, $0.count) == $0.count }
            ? number : nil
    }
}

/// Cuts what comes out of a descriptor, which it owns, into lines.
final class LineReader {
    private let descriptor: Int32
    private var bytes: [UInt8] = []
    private var start = 0
    private var isClosed = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The next line without its end, or at the end of all a last one that has none; then nil.
    func next(until deadline: Deadline = .never) throws -> String? {
        var searched = start
        while true {
            if let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) { return cut(to: end) }
            searched = bytes.count
            let hasMore = try fill(until: deadline)
            if !hasMore { return start < bytes.count ? cut(to: bytes.count) : nil }
        }
    }

    func close() {
        if !isClosed { _ = Glibc.close(descriptor) }
        isClosed = true
    }

    private func cut(to end: Int) -> String {
        let line = String(decoding: bytes[start..<end], as: UTF8.self)
        start = min(end + 1, bytes.count)
        // Not for each line: what is left would be moved each time.
        if start == bytes.count { (bytes, start) = ([], 0) }
        return line
    }

    private func fill(until deadline: Deadline) throws -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        let count = try BorrowedDescriptor(descriptor).read(into: buffer, until: deadline)
        bytes += buffer[..<count]
        return count > 0
    }
}
