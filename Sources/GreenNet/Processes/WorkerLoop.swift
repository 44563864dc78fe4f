import Glibc

/// What a worker process does: takes a request, answers it, until its pool closes the socket.
///
/// Its socket blocks.  Green threads that a request leaves behind go on during the next ones.
struct WorkerLoop {
    private let socket: Int32
    private var frames: WorkerFrames
    private var look = ShortLook()
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    /// In bytes: as much as an OS thread usually has.  A worker that was forked on a green thread has only that one's stack otherwise.
    private static let stackSize = 8 << 20

    /// Runs a worker on `socket` until its pool has no more requests, and returns the exit status of the process.
    ///
    /// `answer` returns the payload of an answer, and throws what the pool shall hear in words.
    static func run(
        on socket: Int32, frameLimit: Int, prepare: @escaping () throws -> Void,
        answer: @escaping (ArraySlice<UInt8>) throws -> [UInt8]
    ) -> Int32 {
        let green = spawn(name: "worker", stackSize: stackSize) {
            var loop = WorkerLoop(socket: socket, frames: WorkerFrames(limit: frameLimit))
            defer { loop.buffer.deallocate() }
            return loop.run(prepare, answer)
        }
        do { return try green.value() } catch {
            writeToStandardError("GreenNet: worker process \(getpid()) failed: \(error)\n")
            return 1
        }
    }

    private init(socket: Int32, frames: WorkerFrames) { (self.socket, self.frames) = (socket, frames) }

    private mutating func run(_ prepare: () throws -> Void, _ answer: (ArraySlice<UInt8>) throws -> [UInt8]) -> Int32 {
        send(.hello)
        do { try prepare() } catch {
            send(failure("the worker's prepare has failed: \(error)"))
            return 1
        }
        guard send(.ready) else { return 0 }
        while let request = receive() {
            let frame: [UInt8]
            do { frame = WorkerFrame.bytes(.answer, try answer(request.payload)) } catch { frame = failure("\(error)") }
            // What the request has printed: the process may be killed before the next one.
            fflush(nil)
            if !send(frame) { return 0 }
        }
        return 0
    }

    /// Nil at the end of the stream, and where the pool is no pool.
    private mutating func receive() -> WorkerFrame? {
        while true {
            do throws(WorkerFrames.Malformed) { if let frame = try frames.next() { return frame } } catch { return nil }
            look.beforeWait(for: socket)
            let count = SystemCalls.receive(socket, into: buffer)
            if count <= 0 { return nil }
            look.afterWait()
            frames.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private func failure(_ text: String) -> [UInt8] {
        var bytes = [UInt8](text.utf8.prefix(WorkerFrame.longestText))
        // A character that was cut goes as a whole.
        if bytes.count < text.utf8.count {
            while !bytes.isEmpty, String(validating: bytes, as: UTF8.self) == nil { bytes.removeLast() }
        }
        return WorkerFrame.bytes(.failure, bytes)
    }

    @discardableResult
    private func send(_ kind: WorkerFrame.Kind) -> Bool { send(WorkerFrame.bytes(kind)) }

    /// False where the pool has gone.
    @discardableResult
    private func send(_ frame: [UInt8]) -> Bool {
        frame.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = SystemCalls.send(socket, rest)
                if count <= 0 { return false }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return true
        }
    }
}
