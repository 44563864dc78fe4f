import Glibc
import GreenNet

/// A signal that ends the benchmark.  Thrown in its green thread, so that every server and generator is ended on the way out.
struct Interruption: Error {
    let signal: Int32

    /// Runs `body` on a green thread that INT, TERM and HUP kill.  Throws what `body` throws, or `Interruption`.
    static func watch(_ body: @escaping () throws -> Void) throws {
        let watcher = SignalWatcher(SIGINT, SIGTERM, SIGHUP)
        let work = spawn(name: "benchmark", body)
        let listener = spawn(name: "signals") {
            guard let signal = try? watcher.wait() else { return }
            work.kill(throwing: Interruption(signal: signal))
        }
        defer { listener.kill() }
        try work.value()
    }
}
