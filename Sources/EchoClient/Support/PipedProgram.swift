import Glibc
import GreenNet

/// Another program (or this one once more) that runs beside this one, and exchanges lines with it over pipes.
///
/// Pipes rather than sockets: a server that is measured may open its standard error anew, by `/dev/stderr`.
/// The caller of `init` calls `end()`, on every way out.  Belongs to the hub that started it.
final class PipedProgram {
    private let process: ChildProcess
    private var input: GreenPipe
    private let readers: [Output: LineReader]

    enum Output: CaseIterable {
        case standardOutput, standardError
    }

    /// Starts `words` with this process's environment and the variables in `environment`.  `readLine` has what it writes to `captured`; its other output
    /// goes where this process's goes.
    ///
    /// A Ctrl-C at the terminal reaches this process only.  When this process ends, for whatever reason, the kernel kills the program, or with `hasWorkAtEnd`
    /// closes its standard input.
    ///
    /// To be called from the process's first OS thread.
    init(
        _ words: [String], environment: [String: String] = [:], capturing captured: Set<Output>,
        hasWorkAtEnd: Bool = false
    ) throws {
        var input = try PipedProgram.pipe()
        var output = try PipedProgram.pipe()
        var errorOutput = try PipedProgram.pipe()
        let options = ChildProcess.Options(
            environment: .adding(PipedProgram.changes(adding: environment)), input: .descriptor(input.reading),
            output: captured.contains(.standardOutput) ? .descriptor(output.writing) : .inherited,
            errorOutput: captured.contains(.standardError) ? .descriptor(errorOutput.writing) : .inherited,
            group: .own, signalAtStartersEnd: hasWorkAtEnd ? nil : SIGKILL)
        do throws(ChildError) {
            process = try ChildProcess(words[0], Array(words.dropFirst()), options)
        } catch {
            throw Failure.notStarted(error.program, error.errno)
        }
        input.closeReading()
        self.input = input
        readers = [
            .standardOutput: LineReader(output.takeReading()), .standardError: LineReader(errorOutput.takeReading()),
        ]
    }

    private static func pipe() throws -> GreenPipe {
        do throws(SystemError) { return try GreenPipe() } catch { throw Failure.noPipe(error) }
    }

    /// Without what is set for a service of this machine: that is not for those that are measured.
    private static func changes(adding added: [String: String]) -> [String: String?] {
        let names = ownEnvironment.map { String($0.prefix { $0 != "=" }) }.filter { $0.hasPrefix("ECHO_SERVER_") }
        return Dictionary(uniqueKeysWithValues: Set(names).map { ($0, nil) }).merging(added) { $1 }
    }

    var pid: pid_t { process.pid }

    /// The next line that it writes there, without its end; nil when there are no more.
    func readLine(_ output: Output, until deadline: Deadline = .never) throws -> String? {
        try readers[output]!.next(until: deadline)
    }

    /// What it no longer reads is lost.
    func writeLine(_ line: String) {
        var line = line + "\n"
        guard input.writing >= 0 else { return }
        line.withUTF8 { bytes in try? BorrowedDescriptor(input.writing).writeAll(UnsafeRawBufferPointer(bytes)) }
    }

    func closeInput() { input.closeWriting() }

    func send(_ signal: Int32) { process.send(signal) }

    /// Waits until it has ended, and says how.  Throws `WaitError.deadlinePassed` where it still runs at `deadline`.
    func wait(until deadline: Deadline = .never) throws -> ChildProcess.Exit { try process.wait(until: deadline) }

    var hasEnded: Bool { (try? process.wait(until: .now)) != nil }

    /// Kills it, and what it has started in its group, if it runs, and closes what this process holds of it.
    func end() {
        process.end()
        closeInput()
        for reader in readers.values { reader.close() }
    }
}
