import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

/// A server of the system, which the tests start on a free port of 127.0.0.1 with data of its own, and end.
final class LocalServer: Sendable {
    let program: Program
    let port: Int
    /// Holds the server's files; removed at the end.
    let directory: String
    private let endingSignal: Int32

    private init(_ program: Program, port: Int, directory: String, endingSignal: Int32) {
        (self.program, self.port, self.directory, self.endingSignal) = (program, port, directory, endingSignal)
    }

    /// Gives `body` the server that `kind` starts, and ends it afterwards.
    static func with<R>(_ kind: Kind, _ body: (LocalServer) throws -> R) throws -> R {
        let server = try start(kind)
        defer { server.end() }
        return try body(server)
    }

    /// How a server is prepared, started and known to listen.
    struct Kind: Sendable {
        /// The program that must be there.
        let path: String
        var isUnprivileged = true
        var endingSignal = SIGTERM
        /// Run before, to their ends, given the directory.
        var preparations: @Sendable (_ directory: String) -> [[String]] = { _ in [] }
        /// Given the directory and the port; without the program's name.
        let arguments: @Sendable (_ directory: String, _ port: Int) throws -> [String]
        /// Whether a line with this text says that it listens, on the standard error or output.
        let listens: String
        var usesStandardOutput = false
    }

    private static func start(_ kind: Kind) throws -> LocalServer {
        guard access(kind.path, X_OK) == 0 else {
            throw ProgramFailure(text: "\(kind.path) is not installed: run the tests with make test-libraries")
        }
        let directory = try makeDirectory()
        do {
            let port = try freePort()
            if geteuid() == 0, kind.isUnprivileged { chown(directory, nobody, nobody) }
            for words in kind.preparations(directory) { try finish(launch(words, kind)) }
            let program = try Program(launch([kind.path] + kind.arguments(directory, port), kind))
            let server = LocalServer(program, port: port, directory: directory, endingSignal: kind.endingSignal)
            do { try server.waitUntilItListens(kind) } catch {
                server.end()
                throw error
            }
            return server
        } catch {
            remove(directory)
            throw error
        }
    }

    private func waitUntilItListens(_ kind: Kind) throws {
        let output = kind.usesStandardOutput ? program.standardOutput : program.standardError
        guard output.waitForLine(containing: kind.listens, within: .seconds(60)) != nil else {
            throw program.failure("does not listen; on standard output:\n\(program.standardOutput.text)")
        }
    }

    private func end() {
        program.send(endingSignal)
        _ = eventually(within: .seconds(20)) { program.hasEnded }
        program.end()
        LocalServer.remove(directory)
    }

    // MARK: Helpers

    private static let nobody: UInt32 = 65534

    private static func launch(_ words: [String], _ kind: Kind) -> Program.Launch {
        guard geteuid() == 0, kind.isUnprivileged else { return Program.Launch(words[0], Array(words.dropFirst())) }
        let become = ["--reuid=\(nobody)", "--regid=\(nobody)", "--clear-groups", "--"]
        return Program.Launch("/usr/bin/setpriv", become + words)
    }

    private static func finish(_ launch: Program.Launch) throws {
        let end = try Program.run(launch, within: .seconds(60))
        if end.exit != .status(0) {
            throw ProgramFailure(text: "\(launch.path) \(launch.arguments): \(end.exit)\n\(end.output)\(end.error)")
        }
    }

    private static func makeDirectory() throws -> String {
        var template = Array("/tmp/greennet-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ProgramFailure(text: "mkdtemp: \(SystemError(errno))") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func remove(_ directory: String) {
        _ = try? Program.run(Program.Launch("/bin/rm", ["-rf", directory]))
    }

    /// Free a moment ago.  Not by a `Listener`, which needs a hub.
    private static func freePort() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let error = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) == 0 ? getsockname(socket, address, &length) : -1
            }
        }
        if error != 0 { throw ProgramFailure(text: "no free port: \(SystemError(errno))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
