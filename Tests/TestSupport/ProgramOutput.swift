import Glibc
import GreenNet
import Synchronization

/// The bytes that a program has written into a pipe so far.  Each access reads the pipe, so a program that writes more than a pipe holds waits until
/// then.
package final class ProgramOutput: Sendable {
    private struct State {
        var descriptor: Int32
        var bytes: [UInt8] = []
        var hasEnded = false
    }

    private let state: Mutex<State>

    /// Takes ownership of a pipe's reading end and makes it non-blocking; the program's end stays blocking.
    init(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        state = Mutex(State(descriptor: descriptor))
    }

    /// Reads the bytes that are there.
    package func collect() { state.withLock { ProgramOutput.collect(&$0) } }

    /// All so far.
    package var bytes: [UInt8] {
        state.withLock { state in
            ProgramOutput.collect(&state)
            return state.bytes
        }
    }

    /// All so far, as text.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// All lines so far, without a last line that has not ended.
    package var lines: [String] {
        let bytes = bytes
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")) ?? bytes.startIndex
        return String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Nil if no such line came within `limit`.
    package func waitForLine(containing text: String, within limit: Duration) -> String? {
        var found: String?
        _ = eventually(within: limit) {
            found = lines.first { $0.contains(text) }
            return found != nil
        }
        return found
    }

    /// All bytes that the program, which has ended, and the processes that inherited the pipe from it have written.
    package func bytesToEnd(within limit: Duration = .seconds(10)) -> [UInt8] {
        _ = eventually(within: limit) {
            state.withLock { state in
                ProgramOutput.collect(&state)
                return state.hasEnded
            }
        }
        return bytes
    }

    package func textToEnd(within limit: Duration = .seconds(10)) -> String {
        String(decoding: bytesToEnd(within: limit), as: UTF8.self)
    }

    /// The program gets EPIPE from now on.  May be called again.
    package func close() {
        state.withLock { state in
            ProgramOutput.collect(&state)
            if state.descriptor >= 0 { _ = Glibc.close(state.descriptor) }
            (state.descriptor, state.hasEnded) = (-1, true)
        }
    }

    private static func collect(_ state: inout State) {
        guard !state.hasEnded else { return }
        let descriptor = state.descriptor
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64 << 10) { buffer in
            while true {
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                if count == 0 { state.hasEnded = true }
                guard count > 0 else { return }
                state.bytes += buffer[..<count]
            }
        }
    }
}
