import TestSupport
import Testing

@testable import GreenNet

private enum Local {
    @TaskLocal static var name = "none"
    @TaskLocal static var number = 0
}

@Suite struct `Task-locals of green threads` {
    @Test func `a green thread that was resumed reads what it has bound itself`() throws {
        try onHub {
            var seen: [String] = []
            let threads = ["A", "B"].map { name in
                spawn {
                    try Local.$name.withValue(name) {
                        try Greenlet.yield()
                        seen.append("\(name) reads \(Local.name)")
                    }
                    seen.append("\(name) ends with \(Local.name)")
                }
            }
            let plain = spawn {
                try Greenlet.yield()
                seen.append("C reads \(Local.name)")
            }
            try joinAll(threads.map { $0 as AnyGreenlet } + [plain])
            #expect(
                seen.sorted() == [
                    "A ends with none", "A reads A", "B ends with none", "B reads B", "C reads none",
                ])
        }
    }

    @Test func `a spawned green thread inherits them, and keeps them beyond their scope`() throws {
        try onHub {
            let thread = Local.$name.withValue("outer") {
                Local.$number.withValue(7) {
                    Local.$name.withValue("inner") {
                        spawn { try bothAfterYield() }
                    }
                }
            }
            let read = try thread.value()
            #expect(read == "inner 7")
            #expect(Local.name == "none")
        }
    }

    @Test func `what a green thread binds is not seen by the one that spawned it`() throws {
        try onHub {
            let gate = GreenEvent()
            let thread = Local.$name.withValue("outer") {
                spawn { try Local.$name.withValue("own") { try gate.wait() } }
            }
            try Greenlet.yield()
            #expect(Local.name == "none")
            gate.set()
            try thread.join()
        }
    }

    @Test func `a green thread that is spawned with inheriting false begins with none`() throws {
        try onHub {
            let thread = Local.$name.withValue("outer") { spawn(inheriting: false) { Local.name } }
            let read = try thread.value()
            #expect(read == "none")
        }
    }

    @Test func `a link has those of the code that made it`() throws {
        try onHub {
            var seen: [String] = []
            let thread = Local.$name.withValue("linked") { spawn { try Greenlet.yield() } }
            Local.$name.withValue("linking") { _ = thread.link { _ in seen.append(Local.name) } }
            thread.link { _ in seen.append(Local.name) }
            try Hub.current.run()
            #expect(seen == ["linking", "none"])
        }
    }

    @Test func `a value that is released at the end of a green thread may ask which one runs`() throws {
        try onHub {
            let ids = RemoteChannel<UInt64>()
            _ = Asking.$current.withValue(Asking(ids)) { spawn { _ = Asking.current } }
            try Hub.current.run()
            #expect(ids.tryTake() != nil)
        }
    }

    @Test func `the report of a failure has those of the green thread`() throws {
        try onHub {
            var seen: [String] = []
            Hub.current.onUnobservedFailure = { _ in seen.append(Local.name) }
            Local.$name.withValue("failing") { _ = spawn { throw WaitError.closed } }
            try Hub.current.run()
            #expect(seen == ["failing"])
        }
    }

    @Test func `a generator has those of the code that asked for its first value`() throws {
        try onHub {
            let names = Generator<String, Void> { out in
                while true {
                    try out.yield(Local.name)
                    try Local.$name.withValue("own") { try out.yield(Local.name) }
                }
            }
            let first = try Local.$name.withValue("first") { try names.next() }
            #expect(first == "first")
            let second = try Local.$name.withValue("second") { (try names.next(), Local.name) }
            #expect(second.0 == "own")
            #expect(second.1 == "second")
            #expect(try names.next() == "first")
        }
    }

    @Test func `a hub keeps the task-locals that were bound when it was made`() throws {
        try onOSThread {
            try Local.$name.withValue("before") {
                defer { Hub.current.close() }
                let inherited = try spawn { Local.name }.value()
                #expect(inherited == "before")
                #expect(Local.name == "before")
            }
            #expect(Local.name == "none")
        }
    }

    @Test func `every hub of the process keeps tasks apart`() throws {
        try onHub { #expect(Hub.current.capabilities.reasonAgainstTasks == nil) }
        try onHub { #expect(Hub.current.capabilities.keepsTasksApart) }
    }

    @Test func `values that are inherited are released at the end, also of one that never began`() throws {
        try onHub {
            weak var released: Value?
            do {
                let value = Value()
                released = value
                let killed = Value.$current.withValue(value) { spawn { _ = Value.current } }
                killed.kill()
                try Value.$current.withValue(value) { spawn { _ = Value.current } }.join()
            }
            #expect(released == nil)
        }
    }

    @Test func `the search says what it did not find`() throws {
        try onHub {
            let failure = #expect(throws: TaskWordsSearch.Failure.self) {
                _ = try TaskWordsSearch(memory: []).run()
            }
            #expect(failure?.reason == "the word of the current task is not where it was looked for")
        }
    }

    private func bothAfterYield() throws -> String {
        try Greenlet.yield()
        return "\(Local.name) \(Local.number)"
    }
}

private final class Value: Sendable {
    @TaskLocal static var current: Value?
}

private final class Asking: Sendable {
    @TaskLocal static var current: Asking?
    private let ids: RemoteChannel<UInt64>

    init(_ ids: RemoteChannel<UInt64>) { self.ids = ids }

    deinit { _ = try? ids.tryPut(Greenlet.current.id) }
}
