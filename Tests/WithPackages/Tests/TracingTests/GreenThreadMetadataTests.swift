import GreenNet
import HubSupport
import InMemoryLogging
import Logging
import Testing

extension Logger.MetadataProvider {
    /// The green thread that logs, as `%(threadName)s` is for threads in Python's logging; nothing on an OS thread without a hub.
    static let greenThread = Logger.MetadataProvider {
        guard let thread = Greenlet.currentIfAny else { return [:] }
        return ["green_thread": "\(thread.name ?? "\(thread.id)")"]
    }
}

struct GreenThreadMetadataTests {
    @Test func `each log line has the name of the green thread that has written it, or its number`() async throws {
        var handler = InMemoryLogHandler()
        handler.metadataProvider = .greenThread
        let logger = Logger(label: "green threads", factory: { [handler] _ in handler })
        logger.info("without a hub")
        let id = try await onHub {
            logger.info("on the main one")
            let workers = ["one", "two"].map { (name: String) in
                spawn(name: name) {
                    for _ in 0..<3 {
                        logger.info("\(name)")
                        try Greenlet.yield()
                    }
                }
            }
            for worker in workers { try worker.join() }
            let nameless = spawn { logger.info("nameless") }
            try nameless.join()
            return nameless.id
        }
        let lines = handler.entries.map { "\($0.message): \($0.metadata["green_thread"].map { "\($0)" } ?? "none")" }
        let workers = (0..<3).flatMap { _ in ["one: one", "two: two"] }
        #expect(lines == ["without a hub: none", "on the main one: main"] + workers + ["nameless: \(id)"])
    }
}
