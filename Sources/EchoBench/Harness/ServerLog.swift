import GreenNet

/// What a server writes: read all the time, so that it never waits for room.
final class ServerLog {
    private let errors: LineReader
    private var readers: [Greenlet<Void>] = []
    private var lastLine = "nothing was logged"

    init(_ child: ChildProcess) {
        errors = LineReader(child.errorOutput)
        let output = LineReader(child.output)
        readers.append(spawn(name: "output") { output.drain() })
    }

    /// The ports that stand behind each of `words` in its standard error.  Throws where it ends, or does not say them in time.
    func ports(after words: [String], of start: ServerStart) throws -> [Int] {
        var found: [String: Int] = [:]
        let deadline = Deadline.after(.seconds(start.patience))
        while found.count < words.count {
            guard let line = try line(until: deadline, of: start) else {
                throw BenchFailure("\(start.name) has ended: \(lastLine)")
            }
            lastLine = line
            for word in words { found[word] = line.number(after: "\(word)127.0.0.1:") ?? found[word] }
        }
        let errors = errors
        readers.append(spawn(name: "log") { errors.drain() })
        return words.map { found[$0]! }
    }

    private func line(until deadline: Deadline, of start: ServerStart) throws -> String? {
        do throws(NetError) {
            return try errors.next(until: deadline)
        } catch {
            guard error.waitError == .deadlinePassed else { throw error }
            throw BenchFailure("\(start.name) does not listen")
        }
    }

    func close() { for reader in readers { reader.kill() } }
}
