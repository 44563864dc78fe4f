import Glibc
import GreenNet

let ofSharedObjects = [
    Mistake("shared-semaphore-low", "a shared semaphore with 0 permits; 1 to 4096 are possible") {
        _ = try SharedSemaphore(0)
    },
    Mistake("shared-semaphore-high", "a shared semaphore with 4097 permits; 1 to 4096 are possible") {
        _ = try SharedSemaphore(4097)
    },
    Mistake("shared-counters-low", "0 shared counters; 1 to 16777216 are possible") {
        _ = try SharedCounters(count: 0)
    },
    Mistake("shared-counters-high", "16777217 shared counters; 1 to 16777216 are possible") {
        _ = try SharedCounters(count: (1 << 24) + 1)
    },
    Mistake("shared-counter", "counter 2 of 2") { try SharedCounters(count: 2).add(to: 2) },
    Mistake("shared-array-low", "a shared array of 0 elements; 1 to 8589934592 of 8 bytes are possible") {
        _ = try SharedArray<Int>(count: 0)
    },
    Mistake("shared-array-high", "a shared array of 8589934593 elements; 1 to 8589934592 of 8 bytes are possible") {
        _ = try SharedArray<Int>(count: (8 << 30) + 1)
    },
    Mistake("shared-element", "element -1 of 2") { _ = try SharedArray<Int>(count: 2)[-1] },
    Mistake("shared-queue-low", "a shared queue for 0 elements; 1 to 16777216 of 8 bytes are possible") {
        _ = try SharedQueue<Int>(limit: 0)
    },
    Mistake("shared-queue-high", "a shared queue for 16777217 elements; 1 to 16777216 of 8 bytes are possible") {
        _ = try SharedQueue<Int>(limit: (1 << 24) + 1)
    },
    Mistake("shared-frame-low", "a shared queue for frames of up to -1 bytes; 0 to 16777216 are possible") {
        _ = try SharedQueue<[UInt8]>(limit: 1, longest: -1)
    },
    Mistake("shared-frame-high", "a shared queue for frames of up to 16777217 bytes; 0 to 16777216 are possible") {
        _ = try SharedQueue<[UInt8]>(limit: 1, longest: (1 << 24) + 1)
    },
    Mistake("shared-frame", "a frame of 3 bytes in a shared queue for frames of up to 2") {
        try SharedQueue<[UInt8]>(limit: 1, longest: 2).put([1, 2, 3])
    },
    Mistake("shared-task-done", "taskDone() was called for more elements than this process has taken") {
        let queue = try SharedQueue<Int>(limit: 1)
        try queue.put(1)
        queue.taskDone()
    },
    Mistake("shared-release", "SharedSemaphore.release() in a process that holds no permit") {
        try SharedSemaphore(2).release()
    },
    Mistake("shared-lock-nested", "SharedLock.withLock inside withLock of the same lock would wait for itself") {
        let lock = try SharedLock()
        try lock.withLock { _ in try lock.withLock { _ in } }
    },
    Mistake("shared-value-nested", "an object between processes is used by the closure that changes it") {
        let value = try SharedValue(1)
        value.update { _ in value.store(2) }
    },
    Mistake("shared-value-parked", "an object between processes is used by the closure that changes it") {
        let value = try SharedValue(1)
        spawn { try value.update { _ in try Greenlet.sleep(for: .milliseconds(1)) } }
        try Greenlet.yield()
        value.store(2)
    },
]
