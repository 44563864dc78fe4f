import Glibc

/// A function that other processes of the program can be asked for by its name.
///
///     let squares = WorkerFunction("squares") { (number: Int) in number * number }
///
///     @main struct Program {
///         static func main() throws {
///             ProcessPool.serveIfWorker(squares)
///             let pool = try ProcessPool(limit: 4, running: squares)
///         }
///     }
public struct WorkerFunction<Request: Codable, Answer: Codable>: Sendable {
    /// Unique in the program.
    public let name: String
    private let prepare: @Sendable () throws -> Void
    private let body: @Sendable (Request) throws -> Answer

    /// The function `body`, under a `name` that is not empty; `prepare` runs once in each worker, before its first call.
    public init(
        _ name: String, prepare: @escaping @Sendable () throws -> Void = {},
        _ body: @escaping @Sendable (Request) throws -> Answer
    ) {
        require(
            !name.isEmpty && !name.utf8.contains(0),
            "a WorkerFunction named \(name.escaped): a name is not empty and has no zero byte")
        (self.name, self.prepare, self.body) = (name, prepare, body)
    }

    fileprivate func serve(frameLimit: Int) -> Int32 {
        WorkerLoop.run(
            on: WorkerProcess.socket, frameLimit: frameLimit, prepare: prepare, answer: answering(frameLimit, body))
    }
}

extension ProcessPool where Request == Never, Answer == Never {
    /// To be called at the start of `main`, with all functions that pools run by name.
    ///
    /// In a process that was started as the worker of a pool, it answers calls and does not return: the process ends with its pool.  In any other it returns at
    /// once, and changes nothing.
    public static func serveIfWorker<each Input: Codable, each Output: Codable>(
        _ functions: repeat WorkerFunction<each Input, each Output>
    ) {
        guard let worker = WorkerProcess.own else { return }
        var names: [String] = []
        for function in repeat each functions {
            if function.name == worker.name { worker.end(function.serve(frameLimit: worker.frameLimit)) }
            names.append(function.name.escaped)
        }
        worker.refuse(
            "the program serves no WorkerFunction named \(worker.name.escaped); it serves \(names.joined(separator: ", "))"
        )
    }
}

/// This process as the worker of a pool that has started it by executing the program.
struct WorkerProcess {
    let name: String
    let frameLimit: Int

    /// Where the worker finds its socket.
    static let socket: Int32 = 3
    /// The variable that makes a process a worker: the frame limit, a blank, and the name of the function.
    private static let variable = "GREENNET_WORKER"

    static func assignment(_ name: String, _ frameLimit: Int) -> String { "\(variable)=\(frameLimit) \(name)" }

    /// Nil in a process that is no worker.  What the worker starts is none either.
    static var own: WorkerProcess? {
        guard let value = getenv(variable).map({ String(cString: $0) }) else { return nil }
        unsetenv(variable)
        let parts = value.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, let limit = Int(parts[0]), (1...1 << 30).contains(limit),
            SystemCalls.kind(of: socket) == S_IFSOCK
        else {
            writeToStandardError(
                "GreenNet: \(variable) is \(value.escaped), and descriptor \(socket) no pool's socket\n")
            exit(64)
        }
        _ = SystemCalls.closeOnExec(socket)
        return WorkerProcess(name: String(parts[1]), frameLimit: limit)
    }

    /// A worker that makes pools of its own instead of serving would start more and more processes.
    static func refuseUnserved() {
        guard let value = getenv(variable) else { return }
        programmingError(
            "this process was started as a worker (\(String(cString: value).escaped)), and makes a ProcessPool: "
                + "call ProcessPool.serveIfWorker at the start of main")
    }

    func end(_ status: Int32) -> Never {
        fflush(nil)
        _exit(status)
    }

    func refuse(_ text: String) -> Never {
        end(
            WorkerLoop.run(on: WorkerProcess.socket, frameLimit: frameLimit) {
                throw WorkerError(description: text)
            } answer: { _ in
                []
            })
    }
}

// MARK: - Starting workers

extension PoolWorker {
    /// A copy of this process.
    static func forked(
        _ frameLimit: Int, _ prepare: @escaping () throws -> Void,
        _ answer: @escaping (ArraySlice<UInt8>) throws -> [UInt8]
    ) throws(ForkError) -> PoolWorker {
        try start(frameLimit) { (socket) throws(ForkError) in
            try ForkedChild.start(Fork.Inheritance(descriptors: [socket], hasOwnGroup: true)) {
                let null = SystemCalls.openNull()
                if null >= 0 { dup2(Int32(null), STDIN_FILENO) }
                return WorkerLoop.run(on: socket, frameLimit: frameLimit, prepare: prepare, answer: answer)
            }
        }
    }

    /// This program anew: the same file, also where another one has its name by now.
    static func executed(_ name: String, _ frameLimit: Int) throws(ForkError) -> PoolWorker {
        try start(frameLimit) { (socket) throws(ForkError) in
            do throws(SystemError) {
                let null = SystemCalls.openNull()
                if null < 0 { throw SystemError(Int32(-null)) }
                defer { SystemCalls.close(Int32(null)) }
                let variables = ownEnvironment + [WorkerProcess.assignment(name, frameLimit)]
                var start = ProgramStart(["/proc/self/exe", "worker:", name], environment: variables)
                start.streams = [Int32(null), nil, nil, socket]
                start.signalAtStartersEnd = SIGKILL
                start.group = .own
                return try ChildEnd(try start.start(), hasOwnGroup: true)
            } catch {
                throw .system(error)
            }
        }
    }

    private static func start(
        _ frameLimit: Int, _ begin: (Int32) throws(ForkError) -> ChildEnd
    ) throws(ForkError) -> PoolWorker {
        let ends: (own: Int32, child: Int32)
        do throws(SystemError) { ends = try SystemCalls.socketPair() } catch { throw .system(error) }
        defer { SystemCalls.close(ends.child) }
        let connection = Connection(descriptor: ends.own, peer: .unix(path: ""))
        do throws(ForkError) {
            return PoolWorker(try begin(ends.child), connection, frameLimit: frameLimit)
        } catch {
            connection.close()
            throw error
        }
    }
}
