import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// Standard input, output and error of the process.
enum StandardStreams {
    /// What a shell shows for a program that SIGPIPE has ended.
    private static let brokenPipe = ExitCode(ExitStatus.ended(bySignal: SIGPIPE))

    /// Whether input and output are terminals.
    static var areTerminal: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

    /// Waits for some input and returns it, in `buffer`; nil at its end.  Throws `Failure.input`, or what ended the wait.
    static func read(into buffer: UnsafeMutableRawBufferPointer) throws -> UnsafeRawBufferPointer? {
        do throws(NetError) {
            let count = try BorrowedDescriptor.standardInput.read(into: buffer)
            return count == 0 ? nil : UnsafeRawBufferPointer(rebasing: buffer[..<count])
        } catch {
            guard let errno = error.errno else { throw error }
            throw Failure.input(errno)
        }
    }

    /// Throws `Failure.output`.  When the reader is gone, SIGPIPE ends the program, as it ends other filters; where that is ignored, it throws the exit
    /// status that a shell shows for that.
    static func write(_ bytes: UnsafeRawBufferPointer) throws {
        try output { (output) throws(NetError) in try output.writeAll(bytes) }
    }

    static func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { bytes in try write(UnsafeRawBufferPointer(bytes)) }
    }

    /// For the end: throws what was written but did not reach the disk.
    static func checkWritten() throws {
        try output { (output) throws(NetError) in try output.checkWritten() }
    }

    private static func output(_ use: (BorrowedDescriptor) throws(NetError) -> Void) throws {
        do throws(NetError) {
            try use(.standardOutput)
        } catch {
            guard let errno = error.errno else { throw error }
            throw errno.code == EPIPE ? brokenPipe : Failure.output(errno) as any Error
        }
    }

    /// Part of a line on standard error.
    static func show(_ text: String) {
        var text = text
        text.withUTF8 { bytes in try? BorrowedDescriptor.standardError.writeAll(UnsafeRawBufferPointer(bytes)) }
    }

    /// A line on standard error.  What it quotes may come from anywhere.
    static func complain(_ line: String) {
        var line = line.escaped + "\n"
        line.withUTF8 { bytes in try? BorrowedDescriptor.standardError.writeAll(UnsafeRawBufferPointer(bytes)) }
    }
}
