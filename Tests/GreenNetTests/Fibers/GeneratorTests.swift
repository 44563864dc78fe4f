import TestSupport
import Testing

@testable import GreenNet

struct GeneratorTests {
    private func counter(to end: Int) -> Generator<Int, Void> {
        Generator { for number in 0..<end { try $0.yield(number) } }
    }

    /// The remaining values.
    private func all<Output, Input>(_ generator: Generator<Output, Input>) throws -> [Output] {
        var outputs: [Output] = []
        while let output = try generator.next() { outputs.append(output) }
        return outputs
    }

    @Test func `a loop over a generator takes its values as they are made`() throws {
        try onHub {
            var made = 0
            let squares = Generator<Int, Void> { me in
                for number in 0... {
                    made += 1
                    try me.yield(number * number)
                }
            }
            var seen: [Int] = []
            while let square = try squares.next() {
                seen.append(square)
                #expect(made == seen.count)
                if square > 20 { break }
            }
            #expect(seen == [0, 1, 4, 9, 16, 25])
            #expect(!squares.isDone)
            try squares.close()
            #expect(squares.isDone)
        }
    }

    @Test func `next returns nil at the end, again and again`() throws {
        try onHub {
            let generator = counter(to: 2)
            try #expect(generator.next() == 0)
            try #expect(generator.next() == 1)
            for _ in 0..<3 { try #expect(generator.next() == nil) }
            try #expect(all(counter(to: 5)) == [0, 1, 2, 3, 4])
        }
    }

    @Test func `yield returns the value that is sent`() throws {
        try onHub {
            let average = Generator<Double, Double> { me in
                var (sum, count) = (0.0, 0.0)
                while true {
                    guard let number = try me.yield(count == 0 ? 0 : sum / count) else { continue }
                    sum += number
                    count += 1
                }
            }
            try #expect(average.next() == 0)
            try #expect(average.send(10) == 10)
            try #expect(average.send(20) == 15)
            try #expect(average.next() == 15)
            try #expect(average.send(30) == 20)
        }
    }

    @Test func `values of every size and alignment are yielded and sent`() throws {
        try onHub {
            func check<Value>(_ values: [Value], _ isEqual: (Value, Value) -> Bool) throws {
                let echo = Generator<Value, Value> { me in
                    var value = values[0]
                    while let next = try me.yield(value) { value = next }
                }
                try #expect(echo.next().map { isEqual($0, values[0]) } == true)
                for value in values { try #expect(echo.send(value).map { isEqual($0, value) } == true) }
                try #expect(echo.next() == nil)
            }
            try check([(), ()]) { _, _ in true }
            try check([UInt8.min, .max], ==)
            try check(["", "a text that has memory of its own"], ==)
            try check([SIMD64<UInt8>(repeating: 1), SIMD64(repeating: 255)], ==)
            try check([1...3, nil], ==)
        }
    }

    @Test func `each value that is yielded or sent is released once, also where the asker was killed`() throws {
        let count = ValueCount()
        try onHub {
            let event = GreenEvent()
            let generator = Generator<CountedValue, CountedValue> { me in
                while try me.yield(CountedValue(count)) != nil {}
                try event.wait()
                try me.yield(CountedValue(count))
            }
            _ = try generator.next()
            for _ in 0..<3 { try generator.send(CountedValue(count)) }
            let asker = spawn { try generator.next() }
            try Greenlet.yield()
            event.set()
            asker.kill()
            try asker.join()
            try Greenlet.yield()
            #expect(generator.isDone)
        }
        #expect(count.made == 8 && count.alive == 0)
    }

    @Test func `send before the first next stops the program`() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let generator = Generator<Int, Int> { try $0.yield(1) }
                try generator.send(1)
            }.value()
        }
        if let result { expectProgrammingError("send before the first next()", in: result) }
    }

    // MARK: Errors

    @Test func `next throws an error of the body, and the generator ends`() throws {
        try onHub {
            let generator = Generator<Int, Void> { me in
                try me.yield(1)
                throw Failure(1)
            }
            try #expect(generator.next() == 1)
            #expect(throws: Failure(1)) { try generator.next() }
            #expect(generator.isDone)
            try #expect(generator.next() == nil)
        }
    }

    @Test func `neither a generator nor a queue is a sequence, so that a loop can't lose an error`() throws {
        try onHub {
            let failing = Generator<Int, Void> { me in
                try me.yield(1)
                throw Failure(2)
            }
            #expect(throws: Failure(2)) { try all(failing) }
            let things: [Any] = [failing, GreenQueue<Int>(), GreenChannel<Int>(), RemoteChannel<Int>()]
            for thing in things { #expect(!(thing is any Sequence)) }
        }
    }

    @Test func `an error that is thrown into a generator can be caught at the yield`() throws {
        try onHub {
            let generator = Generator<Int, Void> { me in
                do { try me.yield(1) } catch let error as Failure { try me.yield(error.number) }
                try me.yield(3)
            }
            try #expect(generator.next() == 1)
            try #expect(generator.throwInto(Failure(2)) == 2)
            try #expect(generator.next() == 3)
            #expect(throws: Failure(4)) { try generator.throwInto(Failure(4)) }
            let unstarted = counter(to: 1)
            #expect(throws: Failure(5)) { try unstarted.throwInto(Failure(5)) }
            #expect(unstarted.isDone)
        }
    }

    // MARK: Ended early

    @Test func `a generator that is closed or released unwinds`() throws {
        try onHub {
            var unwound = 0
            func generator() -> Generator<Int, Void> {
                Generator { me in
                    defer { unwound += 1 }
                    for number in 0... { try me.yield(number) }
                }
            }
            let closed = generator()
            try #expect(closed.next() == 0)
            try closed.close()
            try closed.close()
            #expect(unwound == 1)
            _ = try generator().next()
            try Greenlet.yield()
            #expect(unwound == 2)
            try generator().close()
            #expect(unwound == 2)
        }
    }

    @Test func `after close, each further yield throws cancelled, in a catch and in a defer`() throws {
        try onHub {
            var trace: [String] = []
            let generator = Generator<Int, Void> { me in
                defer {
                    for _ in 0..<2 {
                        do { try me.yield(3) } catch { trace.append("defer: \(error)") }
                    }
                }
                do { try me.yield(1) } catch {
                    trace.append("\(error)")
                    for _ in 0..<2 {
                        do { try me.yield(2) } catch { trace.append("catch: \(error)") }
                    }
                }
                try me.yield(4)
            }
            try #expect(generator.next() == 1)
            try generator.close()
            #expect(generator.isDone)
            #expect(
                trace == ["GreenletExit()"] + Array(repeating: "catch: cancelled", count: 2)
                    + Array(repeating: "defer: cancelled", count: 2))
            try #expect(generator.next() == nil)
        }
    }

    @Test func `after the release, each further yield throws cancelled, in a catch, in a defer and in shielded`() throws
    {
        try onHub {
            for isShielded in [false, true] {
                var trace: [String] = []
                func note(_ body: () throws -> Void) {
                    do { try body() } catch { trace.append("\(error)") }
                }
                var generator: Generator<Int, Void>? = Generator { me in
                    defer { note { try me.yield(3) } }
                    note { if isShielded { try shielded { _ = try me.yield(1) } } else { try me.yield(1) } }
                    note { try me.yield(2) }
                    note { try shielded { _ = try me.yield(2) } }
                }
                try #expect(generator!.next() == 1)
                generator = nil
                try Greenlet.sleep(for: .milliseconds(1))
                #expect(trace == Array(repeating: "cancelled", count: 4))
                #expect(!Hub.current.description.contains("generator"))
            }
        }
    }

    @Test func `close waits until the body has unwound`() throws {
        try onHub {
            var unwound = false
            let generator = Generator<Int, Void> { me in
                defer {
                    try? Greenlet.sleep(for: .milliseconds(3))
                    unwound = true
                }
                try me.yield(1)
            }
            try #expect(generator.next() == 1)
            try generator.close()
            #expect(unwound)
        }
    }

    @Test func `a body that never ends makes close throw, and other green threads run on`() throws {
        try onHub {
            var (mayEnd, others) = (false, 0)
            let generator = Generator<Int, Void> { me in
                while !mayEnd { _ = try? me.yield(1) }
            }
            let other = spawn {
                while !mayEnd {
                    others += 1
                    try Greenlet.yield()
                }
            }
            try #expect(generator.next() == 1)
            #expect(throws: FiberError.ignoredClose) { try generator.close() }
            #expect(!generator.isDone)
            #expect(throws: FiberError.busy) { try generator.next() }
            let before = others
            try Greenlet.sleep(for: .milliseconds(2))
            #expect(others > before)
            mayEnd = true
            try other.value()
            try Greenlet.yield()
            #expect(generator.isDone)
        }
    }

    // MARK: Several callers

    @Test func `while the body waits, a second caller throws busy, and the first gets its value`() throws {
        try onHub {
            let event = GreenEvent()
            let generator = Generator<Int, Int> { me in
                for number in 0... {
                    try event.wait()
                    event.clear()
                    try me.yield(number)
                }
            }
            for number in 0..<3 {
                let first = spawn { try generator.next() }
                try Greenlet.yield()
                #expect(throws: FiberError.busy) { try generator.next() }
                #expect(throws: FiberError.busy) { try generator.send(7) }
                #expect(throws: FiberError.busy) { try generator.throwInto(Failure(1)) }
                #expect(throws: FiberError.busy) { try generator.close() }
                event.set()
                try #expect(first.value() == number)
            }
            try generator.close()
        }
    }

    @Test
    func
        `while the body waits for another generator's value, a second caller throws busy too, and the first gets its value`()
        throws
    {
        try onHub {
            let event = GreenEvent()
            let inner = Generator<Int, Void> { me in
                try event.wait()
                try me.yield(7)
            }
            let outer = Generator<Int, Void> { me in try me.yield(from: inner) }
            let first = spawn { try outer.next() }
            try Greenlet.yield()
            for _ in 0..<3 { #expect(throws: FiberError.busy) { try outer.next() } }
            #expect(throws: FiberError.busy) { try outer.close() }
            event.set()
            try #expect(first.value(until: .after(.seconds(10))) == 7)
            try #expect(outer.next() == nil)
        }
    }

    @Test func `a body that asks its own generator throws busy`() throws {
        try onHub {
            var own: Generator<Int, Void>?
            own = Generator { me in
                #expect(throws: FiberError.busy) { try own!.next() }
                try me.yield(1)
            }
            try #expect(own!.next() == 1)
            try #expect(own!.next() == nil)
            own = nil
        }
    }

    @Test func `if the caller of next is killed as the body goes on, its yield throws cancelled`() throws {
        try onHub {
            let event = GreenEvent()
            var error: (any Error)?
            let generator = Generator<Int, Void> { me in
                try event.wait()
                do { try me.yield(1) } catch let caught {
                    error = caught
                    throw caught
                }
            }
            let asker = spawn { try generator.next() }
            try Greenlet.yield()
            event.set()
            asker.kill()
            #expect(throws: GreenletExit()) { try asker.value() }
            try Greenlet.yield()
            #expect(error as? WaitError == .cancelled)
            #expect(generator.isDone)
        }
    }

    @Test
    func
        `a generator whose caller is killed unwinds from inside shielded too, and the next caller doesn't wait for ever`()
        throws
    {
        try onHub {
            var isUnwound = false
            let generator = Generator<Int, Void> { me in
                defer { isUnwound = true }
                for number in 1... { _ = try shielded { try me.yield(number) } }
            }
            try #expect(generator.next() == 1)
            let asker = spawn {
                #expect(throws: WaitError.cancelled) { try Greenlet.yield() }
                #expect(throws: WaitError.cancelled) { try generator.next() }
                #expect(throws: FiberError.busy) { try generator.next() }
            }
            try Greenlet.yield()
            asker.kill()
            try asker.join()
            try Greenlet.yield()
            #expect(isUnwound)
            try #expect(generator.next() == nil)
        }
    }

    @Test func `a body that waits makes the caller of next wait, and ends with it`() throws {
        try onHub {
            var unwound = 0
            let slow = Generator<Int, Void> { me in
                defer { unwound += 1 }
                try Greenlet.sleep(for: .milliseconds(2))
                try me.yield(1)
                try Greenlet.sleep(until: .never)
            }
            try #expect(slow.next() == 1)
            #expect(throws: TimedOut.self) { try withTimeout(.milliseconds(2)) { _ = try slow.next() } }
            try Greenlet.yield()
            #expect(slow.isDone && unwound == 1)
            try #expect(slow.next() == nil)
        }
    }

    @Test func `another green thread may ask for the next value`() throws {
        try onHub {
            let generator = counter(to: 10)
            let askers = (0..<5).map { _ in
                spawn {
                    let first = try generator.next()!
                    try Greenlet.yield()
                    return [first, try generator.next()!]
                }
            }
            let all = try askers.flatMap { try $0.value() }
            #expect(all.sorted() == Array(0..<10))
            #expect(all == [0, 5, 1, 6, 2, 7, 3, 8, 4, 9])
        }
    }

    // MARK: Nested generators

    @Test func `yield(from:) gives the values of another generator and passes on what is sent and thrown`() throws {
        try onHub {
            var sent: [Int?] = []
            let inner = ReturningGenerator<Int, Int, String> { me in
                sent.append(try me.yield(1))
                do { sent.append(try me.yield(2)) } catch is Failure { try me.yield(20) }
                return "inner is done"
            }
            let outer = Generator<Int, Int> { me in
                try me.yield(0)
                #expect(try me.yield(from: inner) == "inner is done")
                try me.yield(from: [3, 4])
            }
            try #expect(outer.next() == 0)
            try #expect(outer.send(7) == 1)
            try #expect(outer.send(8) == 2)
            try #expect(outer.throwInto(Failure(1)) == 20)
            try #expect(outer.next() == 3)
            try #expect(all(outer) == [4])
            #expect(sent == [8])
            #expect(inner.returned == "inner is done")
        }
    }

    @Test func `a pipeline of generators works on one value at a time`() throws {
        try onHub {
            let numbers = Generator<Int, Void> { for number in 1... { try $0.yield(number) } }
            let even = Generator<Int, Void> { me in
                while let number = try numbers.next() {
                    if number.isMultiple(of: 2) { try me.yield(number) }
                }
            }
            let texts = Generator<String, Void> { me in
                while let number = try even.next() { try me.yield("<\(number)>") }
            }
            for text in ["<2>", "<4>", "<6>"] { try #expect(texts.next() == text) }
        }
    }

    @Test func `a released generator that has made another, unused one unwinds`() throws {
        try onHub {
            var isUnwound = false
            var generator: Generator<Int, Void>? = Generator { me in
                defer { isUnwound = true }
                let inner = Generator<Int, Void> { me in try me.yield(2) }
                try me.yield(1)
                try me.yield(from: inner)
            }
            try #expect(generator?.next() == 1)
            generator = nil
            try Greenlet.yield()
            #expect(isUnwound)
        }
    }

    @Test func `a released pipeline unwinds from end to end`() throws {
        try onHub {
            var unwound = 0
            func stage(_ source: Generator<Int, Void>?) -> Generator<Int, Void> {
                Generator { me in
                    defer { unwound += 1 }
                    if let source { try me.yield(from: source) } else { for number in 0... { try me.yield(number) } }
                }
            }
            _ = try stage(stage(stage(nil))).next()
            for _ in 0..<5 { try Greenlet.yield() }
            #expect(unwound == 3)
        }
    }
}
