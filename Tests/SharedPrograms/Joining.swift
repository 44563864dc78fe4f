import Glibc
import GreenNet

/// Programs that are executed anew, and join by a descriptor.
let joiningPrograms = [
    SharedProgram("joining") { _ in try joinFromPrograms() },
    SharedProgram("joined") { arguments in try joined(arguments[0]) },
    SharedProgram("refused-joins") { _ in try refuseJoins() },
    SharedProgram("ranges") { _ in try useRanges() },
]

/// Where this program lies.
func ownPath() throws -> String {
    var link = [CChar](repeating: 0, count: 4096)
    guard readlink("/proc/self/exe", &link, 4095) > 0 else { fail("no link to the program") }
    return String(decoding: link.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Runs this program, with `descriptor` as its standard input.
private func run(_ what: String, _ descriptor: Int32?) throws {
    try run(ownPath(), ["joined", what], descriptor)
}

/// Runs `program`, with `descriptor` as its standard input.
func run(_ program: String, _ arguments: [String], _ descriptor: Int32?) throws {
    guard let descriptor else { fail("no descriptor for \(arguments)") }
    let options = ChildProcess.Options(input: .descriptor(descriptor), output: .inherited, errorOutput: .inherited)
    try withChild(program, arguments, options: options) { child in
        let exit = try child.wait()
        check(exit == .status(0), "\(arguments): \(exit)")
    }
}

private func joinFromPrograms() throws {
    let queue = try SharedQueue<[UInt8]>(limit: 2, longest: 10)
    let taker = spawn { try (0..<100).map { _ in try queue.take() } }
    try run("frames", queue.descriptor)
    check(try taker.value() == (0..<100).map { [UInt8](repeating: $0, count: Int($0) % 11) }, "other frames")
    check(queue.isShutDown, "not shut down by the other")
    let values = try SharedQueue<Double>(limit: 1)
    let reader = spawn { try values.take() }
    try run("values", values.descriptor)
    check(try reader.value() == 0.5, "another value")
    let (lock, semaphore, event) = (try SharedLock(), try SharedSemaphore(3), try SharedEvent())
    let holder = spawn { try lock.withLock { _ in try Greenlet.sleep(for: .milliseconds(300)) } }
    try Greenlet.yield()
    try run("lock", lock.descriptor)
    try holder.join()
    try run("semaphore", semaphore.descriptor)
    check(semaphore.available == 2, "\(semaphore.available) permits")
    let waiter = spawn { try event.wait() }
    try run("event", event.descriptor)
    check(try waiter.value(), "not set")
    let (value, array, counters) = (
        try SharedValue<Int16>(7), try SharedArray<Float>(count: 4), try SharedCounters(count: 2)
    )
    try run("value", value.descriptor)
    check(value.load() == 8, "\(value.load())")
    try run("array", array.descriptor)
    check(array.allElements == [0, 0, 0, 2.5], "\(array.allElements)")
    try run("counters", counters.descriptor)
    check(counters.allValues == [0, 41], "\(counters.allValues)")
    let child = fork { check(queue.descriptor == nil && lock.descriptor == nil, "a child has descriptors") }
    expectSuccess([child])
}

/// In the program that was executed.
private func joined(_ what: String) throws {
    switch what {
    case "frames":
        let queue = try SharedQueue<[UInt8]>(joining: 0)
        check(queue.limit == 2 && queue.longestFrame == 10, "\(queue.limit), \(queue.longestFrame)")
        for number in UInt8(0)..<100 { try queue.put([UInt8](repeating: number, count: Int(number) % 11)) }
        queue.shutDown()
    case "values": try SharedQueue<Double>(joining: 0).put(0.5)
    case "lock":
        let lock = try SharedLock(joining: 0)
        check(lock.holder == getppid(), "held by \(String(describing: lock.holder))")
        check(try lock.withLock(until: .after(.seconds(20))) { $0 } == .released, "not released")
    case "held-lock": expectHeld(try SharedLock(joining: 0))
    case "lock-for-a-while":
        try SharedLock(joining: 0).withLock { _ in try Greenlet.sleep(for: .seconds(2)) }
    case "semaphore":
        let semaphore = try SharedSemaphore(joining: 0)
        check(semaphore.permits == 3, "\(semaphore.permits)")
        try semaphore.acquire()
    case "event": try SharedEvent(joining: 0).set()
    case "value": try SharedValue<Int16>(joining: 0).add(1)
    case "array":
        let array = try SharedArray<Float>(joining: 0)
        array[array.count - 1] = 2.5
    case "counters": try SharedCounters(joining: 0).add(41, to: 1)
    default: fail("what is \(what)?")
    }
}

/// What is behind a descriptor is looked at before it is used.
private func refuseJoins() throws {
    func refused(_ expected: SharedMemoryError, line: UInt = #line, _ body: () throws -> Void) {
        do {
            try body()
            fail("line \(line): joined")
        } catch let error as SharedMemoryError {
            check(error == expected, "\(error), not \(expected)", line: line)
        } catch {
            fail("line \(line): \(error)")
        }
    }
    refused(.notShared(descriptor: -1)) { _ = try SharedLock(joining: -1) }
    refused(.notShared(descriptor: 250)) { _ = try SharedLock(joining: 250) }
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    refused(.notShared(descriptor: null)) { _ = try SharedLock(joining: null) }
    close(null)
    let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
    refused(.notShared(descriptor: file)) { _ = try SharedLock(joining: file) }
    close(file)
    let (lock, value) = (try SharedLock(), try SharedValue(1))
    let array = try SharedArray<Int32>(count: 1)
    refused(.content(found: "a SharedLock", expected: "a SharedEvent")) {
        _ = try SharedEvent(joining: lock.descriptor!)
    }
    refused(.content(found: "a SharedValue with 8 bytes each", expected: "one with 4")) {
        _ = try SharedValue<Int32>(joining: value.descriptor!)
    }
    refused(.content(found: "a SharedArray with 4 bytes each", expected: "one with 8")) {
        _ = try SharedArray<Int>(joining: array.descriptor!)
    }
    let queue = try SharedQueue<Int32>(limit: 1)
    refused(.content(found: "a SharedQueue of values with 4 bytes each", expected: "one with 8")) {
        _ = try SharedQueue<Int>(joining: queue.descriptor!)
    }
    refused(.content(found: "a SharedQueue of values", expected: "a SharedQueue of frames")) {
        _ = try SharedQueue<[UInt8]>(joining: queue.descriptor!)
    }
    // Another version, another namespace, another size, and no beginning at all.
    func change(_ word: Int, to number: UInt64) {
        var number = number
        check(pwrite(lock.descriptor!, &number, 8, 8 * word) == 8, "pwrite")
    }
    change(1, to: 1)
    refused(.version(found: 1, expected: 2)) { _ = try SharedLock(joining: lock.descriptor!) }
    change(1, to: 2)
    _ = try SharedLock(joining: lock.descriptor!)
    change(6, to: 1)
    refused(.processNamespace) { _ = try SharedLock(joining: lock.descriptor!) }
    change(5, to: 4096)
    change(0, to: 0)
    refused(.notShared(descriptor: lock.descriptor!)) { _ = try SharedLock(joining: lock.descriptor!) }
    // The count, which the size follows from.
    var count = UInt64.max
    check(pwrite(array.descriptor!, &count, 8, 24) == 8, "pwrite")
    refused(.notShared(descriptor: array.descriptor!)) { _ = try SharedArray<Int32>(joining: array.descriptor!) }
    check(ftruncate(array.descriptor!, 0) == -1, "the memory could be made shorter")
}

/// Both ends of each range.
private func useRanges() throws {
    check(try SharedSemaphore(1).permits == 1 && SharedSemaphore(4096).available == 4096, "permits")
    let counters = try SharedCounters(count: 1 << 24)
    counters.add(Int.max, to: counters.count - 1)
    check(counters.add(1, to: counters.count - 1) == .min && counters[0] == 0, "does not wrap around")
    check(counters.set(0, to: 5) == 0 && counters[0] == 5, "not set")
    let array = try SharedArray<UInt8>(count: 64 << 30)
    array[array.count - 1] = 9
    check(array[array.count - 1] == 9 && array[0] == 0, "the last of 64 GiB")
    let frames = try SharedQueue<[UInt8]>(limit: 1, longest: 1 << 24)
    try frames.put([UInt8](repeating: 3, count: 1 << 24))
    check(try frames.tryPut([]) == false, "a second one in a queue for one")
    check(try frames.take().count == 1 << 24 && frames.tryTake() == nil, "another frame")
    let none = try SharedQueue<[UInt8]>(limit: 1 << 24, longest: 0)
    try none.put([])
    check(try none.take() == [], "not empty")
    let nothing = try SharedQueue<Int>(limit: 1 << 24)
    check(nothing.isEmpty && nothing.limit == 1 << 24, "not empty")
    try SharedValue(Nothing()).store(Nothing())
    let unsigned = try SharedValue(UInt8.max)
    check(unsigned.add(1) == 0, "does not wrap around")
    try refuseMemory()
}

private struct Nothing {}

/// What the kernel refuses is thrown.
private func refuseMemory() throws {
    var limit = rlimit(rlim_cur: 3, rlim_max: 1024)
    check(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, "setrlimit")
    do {
        _ = try SharedLock()
        fail("made without a descriptor")
    } catch {
        check("\(error)".contains("memfd_create") && "\(error)".contains("EMFILE"), "\(error)")
    }
    limit.rlim_cur = 1024
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
