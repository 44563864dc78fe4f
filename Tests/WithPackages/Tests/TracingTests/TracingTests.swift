import GreenNet
import HubSupport
import InMemoryLogging
import InMemoryTracing
import Logging
import Testing
import Tracing

/// swift-distributed-tracing and swift-log keep the span and the metadata of a request in task-locals.
struct TracingTests {
    @Test func `spans of green threads have the parents that their code has`() async throws {
        let tracer = InMemoryTracer()
        try await onHub {
            for seed in 0..<20 { try serveRequests(UInt64(seed), tracer) }
        }
        let spans = tracer.finishedSpans
        // 20 times 3 requests, of 5 spans each.
        #expect(spans.count == 300)
        #expect(tracer.activeSpans.isEmpty)
        let byID = Dictionary(uniqueKeysWithValues: spans.map { ($0.spanID, $0) })
        for span in spans {
            let parent = span.parentSpanID.flatMap { byID[$0] }
            #expect(parent?.operationName == parentName(of: span.operationName))
            #expect(parent == nil || parent?.traceID == span.traceID)
        }
    }

    /// As in `query of step of request 7`.
    private func parentName(of name: String) -> String? {
        let parts = name.split(separator: " of ", maxSplits: 1)
        return parts.count == 2 ? String(parts[1]) : nil
    }

    /// Three requests at once, of which each has two green threads with spans of their own.
    private func serveRequests(_ seed: UInt64, _ tracer: InMemoryTracer) throws {
        try withGreenGroup { requests in
            for number in 0..<3 {
                requests.spawn {
                    var random = SeededRandom(seed: seed * 3 + UInt64(number))
                    let name = "request \(seed).\(number)"
                    try tracer.withSpan(name) { _ in
                        try withGreenGroup { steps in
                            for _ in 0..<2 {
                                let pauses = (0..<2).map { _ in Int.random(in: 0..<4, using: &random) }
                                steps.spawn { try step("step of \(name)", pauses, tracer) }
                            }
                        }
                    }
                }
            }
        }
    }

    private func step(_ name: String, _ pauses: [Int], _ tracer: InMemoryTracer) throws {
        for _ in 0..<pauses[0] { try Greenlet.yield() }
        try tracer.withSpan(name) { span in
            for _ in 0..<pauses[1] { try Greenlet.yield() }
            try tracer.withSpan("query of \(name)") { _ in try Greenlet.sleep(for: .microseconds(pauses[0] * 50)) }
            #expect(InstrumentationContext.current?.inMemorySpanContext?.spanID == span.spanID)
        }
    }

    @Test func `a metadata provider gives each green thread the metadata of its request`() async throws {
        let handler = InMemoryLogHandler()
        let logger = loggerOfSpans(handler)
        try await onHub {
            let tracer = InMemoryTracer()
            try withGreenGroup { requests in
                for number in 0..<10 {
                    requests.spawn {
                        try tracer.withSpan("request") { span in
                            for _ in 0..<number % 4 { try Greenlet.yield() }
                            logger.info("received", metadata: ["expected": "\(span.spanID)"])
                            try Greenlet.sleep(for: .milliseconds(1))
                            logger.info("answered", metadata: ["expected": "\(span.spanID)"])
                        }
                        try Greenlet.yield()
                        logger.info("forgotten", metadata: ["expected": "none"])
                    }
                }
            }
        }
        let entries = handler.entries
        #expect(entries.count == 30)
        for entry in entries { #expect(entry.metadata["span"] == entry.metadata["expected"], "\(entry.message)") }
        let spans = Set(entries.map { span(of: $0) })
        #expect(spans.count == 11)
    }

    @Test func `a span that a task has begun goes on in the hub, and in a task that the hub awaits`() async throws {
        let tracer = InMemoryTracer()
        let handler = InMemoryLogHandler()
        let logger = loggerOfSpans(handler)
        let (door, isOver) = (RemoteResult<RemoteHub>(), RemoteResult<Void>())
        async let hub: Void = onHub {
            door.set(Hub.current.remote)
            try isOver.wait()
        }
        let remote = try await door.value()
        try await tracer.withSpan("task") { span in
            try await remote.run {
                logger.info("on the hub")
                try tracer.withSpan("green thread") { inner in
                    try Greenlet.yield()
                    logger.info("in a span of its own")
                    try awaiting {
                        await Task.yield()
                        logger.info("in a task that it awaits", metadata: ["expected": "\(inner.spanID)"])
                    }
                }
            }
            logger.info("in the task again", metadata: ["expected": "\(span.spanID)"])
        }
        isOver.set(())
        try await hub
        let spans = Dictionary(uniqueKeysWithValues: tracer.finishedSpans.map { ($0.operationName, $0) })
        let (task, green) = (try #require(spans["task"]), try #require(spans["green thread"]))
        #expect(green.parentSpanID == task.spanID)
        let seen = handler.entries.map { span(of: $0) }
        let expected = [task.spanID, green.spanID, green.spanID, task.spanID]
        #expect(seen == expected)
    }
}

private func span(of entry: InMemoryLogHandler.Entry) -> String {
    guard let span = entry.metadata["span"] else { return "nothing" }
    return "\(span)"
}

/// Its messages have the id of the span in which they are logged.
private func loggerOfSpans(_ handler: InMemoryLogHandler) -> Logger {
    var handler = handler
    handler.metadataProvider = Logger.MetadataProvider {
        ["span": "\(InstrumentationContext.current?.inMemorySpanContext?.spanID ?? "none")"]
    }
    return Logger(label: "requests", factory: { _ in handler })
}
