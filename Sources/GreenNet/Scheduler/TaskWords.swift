internal import CSwitch

/// The words that Swift's concurrency runtime keeps for each OS thread: the current task, its executor, and the task-locals that are bound outside of any
/// task.  The switch gives each green thread its own (`green_words`).
///
/// They are private to the runtime, which has no call that sets them.  So they are searched for by what they do, and taken only where each does what it
/// should: `TaskWordsSearch`.
enum TaskWords {
    /// The words of the OS thread that calls.
    struct Here {
        let words: UnsafeMutablePointer<green_words>

        init(_ address: UnsafeMutableRawPointer) { words = address.assumingMemoryBound(to: green_words.self) }

        var task: UnsafeMutableRawPointer? {
            get { words.pointee.task }
            nonmutating set { words.pointee.task = newValue }
        }

        var executor: UnsafeMutableRawPointer? {
            get { words.pointee.executor }
            nonmutating set { words.pointee.executor = newValue }
        }

        /// The runtime's storage, whose first word is the item that was bound last.
        var locals: UnsafeMutableRawPointer? {
            get { words.pointee.locals }
            nonmutating set { words.pointee.locals = newValue }
        }

        /// Runs `body` as no task, and with no task-local bound.
        func cleared<Result>(_ body: () -> Result) -> Result {
            let saved = words.pointee
            words.pointee = green_words()
            defer { words.pointee = saved }
            return body()
        }
    }

    /// The task that runs on the OS thread that calls, which may have no hub.
    static var currentTask: UnsafeRawPointer? { swift_task_getCurrent().map { UnsafeRawPointer($0) } }

    static var here: Here { Here(green_words_here()) }

    /// Whether the running green thread has any of them set.
    @inline(__always)
    static var areHeld: Bool { green_words_held() != 0 }

    /// Whether the running green thread runs as a task.
    @inline(__always)
    static var runTask: Bool { green_runs_task() != 0 }

    static func adopt(_ here: Here?, accesses: UnsafeMutablePointer<UnsafeMutableRawPointer?>?) {
        green_words_adopt(here?.words, accesses)
    }

    /// Runs `body`, which goes on with a task, with exclusivity records of its own.  It may park.
    @inline(__always)
    static func asTask<Result>(_ body: () -> Result) -> Result {
        let begun = green_accesses_begin()
        defer { if begun != 0 { green_accesses_end() } }
        return body()
    }
}

/// The thread-local memory of the OS thread that calls: a range for each loaded object.
func threadLocalMemory() -> [UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>] {
    let room = 128
    let blocks = [green_tls_block](unsafeUninitializedCapacity: room) { blocks, count in
        count = Int(green_tls_blocks(blocks.baseAddress, Int32(room)))
    }
    return blocks.map { block in
        let words = block.low.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
        return UnsafeMutableBufferPointer(start: words, count: block.size / MemoryLayout<Int>.size)
    }
}
