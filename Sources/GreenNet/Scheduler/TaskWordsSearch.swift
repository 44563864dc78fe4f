internal import CSwitch
import Synchronization

/// Finds the runtime's words by value: a word of thread-local memory is taken for the current task where it holds that task's address and the runtime
/// names no task once it is cleared, and so on.  No layout is taken for granted that was not seen to hold.
struct TaskWordsSearch {
    /// Why there is no way to keep tasks apart.
    struct Failure: Error { let reason: String }

    /// Where it looks; a test gives it less.
    var memory = threadLocalMemory()

    /// What the first search of the process has found.  Later ones look there first.
    private static let known = Mutex<Known?>(nil)

    private struct Known {
        let words: Place
        let accesses: Place?
        let layout: TaskLocalLayout
    }

    /// Adopts the words of the OS thread that calls, and returns what was learned about task-locals.
    func run() throws(Failure) -> TaskLocalLayout {
        if let layout = adoptKnown() { return layout }
        let outcome = OnProbeTask.run { Result { () throws(Failure) in try self.lookInTask() } }
        let (words, head) = try outcome.get()
        guard isListed(words) else {
            throw Failure(reason: "the word of the task-locals is not where it was looked for")
        }
        guard Probe.hasExpectedItems() else { throw Failure(reason: "task-locals are not laid out as expected") }
        let (layout, accesses) = (TaskLocalLayout(headInTask: head), findAccesses())
        TaskWords.adopt(words, accesses: accesses)
        remember(words, accesses, layout)
        return layout
    }

    private func adoptKnown() -> TaskLocalLayout? {
        guard let known = TaskWordsSearch.known.withLock({ $0 }), let place = address(of: known.words) else {
            return nil
        }
        let words = TaskWords.Here(UnsafeMutableRawPointer(place))
        guard isListed(words) else { return nil }
        TaskWords.adopt(words, accesses: known.accesses.flatMap { address(of: $0) })
        return known.layout
    }

    private func remember(_ words: TaskWords.Here, _ accesses: Word?, _ layout: TaskLocalLayout) {
        let words = place(of: UnsafeMutableRawPointer(words.words).assumingMemoryBound(to: Word.Pointee.self))!
        let known = Known(words: words, accesses: accesses.flatMap { place(of: $0) }, layout: layout)
        TaskWordsSearch.known.withLock { $0 = known }
    }

    // MARK: Places

    private typealias Word = UnsafeMutablePointer<UnsafeMutableRawPointer?>

    /// A word in the thread-local memory of an object, of whatever OS thread.
    private struct Place {
        let object: Int
        let objectCount: Int
        /// How large the memory of the object is, and which word of it.
        let size: Int
        let index: Int
    }

    private func place(of word: Word) -> Place? {
        for (object, block) in memory.enumerated() {
            let index = word - block.baseAddress!
            if block.indices.contains(index) {
                return Place(object: object, objectCount: memory.count, size: block.count, index: index)
            }
        }
        return nil
    }

    /// Nil where other objects are loaded now.
    private func address(of place: Place) -> Word? {
        guard memory.count == place.objectCount, memory[place.object].count == place.size else { return nil }
        return memory[place.object].baseAddress! + place.index
    }

    // MARK: In the probe's task

    private func lookInTask() throws(Failure) -> (TaskWords.Here, Int) {
        guard let task = swift_task_getCurrent() else { throw Failure(reason: "a job of a task has no current task") }
        guard let words = candidates(of: task).first(where: { isTaskWord($0, task) }) else {
            throw Failure(reason: "the word of the current task is not where it was looked for")
        }
        guard isNear(words.executor) else {
            throw Failure(reason: "the word behind the current task's is not that of its executor")
        }
        return (words, try findHead(of: task))
    }

    private func candidates(of task: UnsafeMutableRawPointer) -> [TaskWords.Here] {
        memory.flatMap { block in
            block.indices.dropLast(2).filter { block[$0] == task }.map { index in
                let place = UnsafeMutableRawPointer(block.baseAddress! + index)
                return TaskWords.Here(place)
            }
        }
    }

    private func isTaskWord(_ words: TaskWords.Here, _ task: UnsafeMutableRawPointer) -> Bool {
        words.task = nil
        let isNone = swift_task_getCurrent() == nil
        words.task = task
        return isNone && swift_task_getCurrent() == task
    }

    /// The runtime keeps what it knows of the executor on the stack, in a frame that encloses this one.
    private func isNear(_ address: UnsafeMutableRawPointer?) -> Bool {
        guard let address else { return false }
        return (0..<65_536).contains(address - Context.stackPointer)
    }

    /// The place within a task of the item that was bound last.
    private func findHead(of task: UnsafeMutableRawPointer) throws(Failure) -> Int {
        let size = _swift_concurrency_debug_asyncTaskSize
        let words = UnsafeRawBufferPointer(start: task, count: size).bindMemory(to: UnsafeRawPointer?.self)
        let place = Probe.bind { outer in
            let places = words.indices.filter { words[$0] == outer.address }
            return Probe.bind { inner in
                places.first { words[$0] == inner.address && inner.next?.address == outer.address }
            }
        }
        guard let place else { throw Failure(reason: "a task has no list of task-locals that was recognised") }
        return place * MemoryLayout<Int>.size
    }

    // MARK: Outside of any task

    /// Whether task-locals that are bound outside of any task are found by `words`.
    private func isListed(_ words: TaskWords.Here) -> Bool {
        words.cleared {
            Probe.bind { outer in
                guard let storage = words.locals else { return false }
                let first = storage.load(as: UnsafeRawPointer?.self) == outer.address
                return first
                    && Probe.bind { inner in
                        words.locals == storage && storage.load(as: UnsafeRawPointer?.self) == inner.address
                            && inner.next?.address == outer.address
                    }
            } && words.locals == nil
        }
    }

    /// The first of the exclusivity records; nil where the runtime keeps none.
    private func findAccesses() -> Word? {
        var variable = 0
        let buffer = UnsafeMutablePointer<green_access_record>.allocate(capacity: 1)
        defer { buffer.deallocate() }
        swift_beginAccess(&variable, buffer, UInt(GREEN_TRACKED_MODIFICATION), nil)
        let word = memory.lazy.flatMap { block in block.indices.lazy.map { block.baseAddress! + $0 } }
            .first { $0.pointee == UnsafeMutableRawPointer(buffer) }
        swift_endAccess(buffer)
        guard let word, word.pointee != UnsafeMutableRawPointer(buffer) else { return nil }
        return word
    }
}

/// A task that runs at once, on the stack of its caller: no OS thread of the runtime is asked for.
private final class OnProbeTask: TaskExecutor, @unchecked Sendable {
    // Used on one OS thread.
    private var job: UnownedJob?

    func enqueue(_ job: consuming ExecutorJob) { self.job = UnownedJob(job) }

    static func run<Result>(_ body: @escaping () -> Result) -> Result {
        let executor = OnProbeTask()
        nonisolated(unsafe) var result: Result?
        nonisolated(unsafe) let body = body
        Task(executorPreference: executor) { result = body() }
        executor.job!.runSynchronously(on: executor.asUnownedTaskExecutor())
        return result!
    }
}
