import Glibc
import GreenNet
import Synchronization

/// Writes records of connections, each in one system call that does not wait.  A record that is not taken is dropped, and its caller counts it.
///
/// Any OS thread may write.  A forked process opens the place for itself, since its other descriptors are closed.
final class RecordSink: Sendable {
    private let place: RecordPlace
    /// The descriptor, in the process that has opened it.
    private let descriptor = PerProcess()
    /// Whether the file is to be opened anew before the next record.
    private let isOld = Atomic(false)
    private let lines = LineOutput()

    /// Throws where the file can't be opened: without it the service would not do what it was asked for.
    init(_ place: RecordPlace) throws(StartFailure) {
        self.place = place
        do throws(SystemError) { _ = try open() } catch { throw RecordSink.failure(place, error) }
    }

    private static func failure(_ place: RecordPlace, _ error: SystemError) -> StartFailure {
        StartFailure(
            [EACCES, EPERM, EROFS].contains(error.code) ? .permission : .configuration,
            "record: cannot open \(place): \(error)")
    }

    /// Throws what opening `place` would, and makes nothing.
    static func check(_ place: RecordPlace) throws(StartFailure) {
        guard case .file(let path) = place else { return }
        do throws(SystemError) {
            if access(path, F_OK) == 0 {
                close(try open(path, makes: false))
            } else if access(path.contains("/") ? path.withoutLastPart : ".", W_OK | X_OK) != 0 {
                throw SystemError(errno)
            }
        } catch {
            throw failure(place, error)
        }
    }

    /// For a process that follows another one, which has opened it.
    init(openingLater place: RecordPlace) { self.place = place }

    deinit { if let number = descriptor.value { close(Int32(number)) } }

    /// Opens the file anew before the next record: another program may have renamed it.  A forked process does so for itself.
    func reopen() { isOld.store(true, ordering: .relaxed) }

    /// Returns whether the record was taken.
    func write(_ record: ConnectionRecord) -> Bool {
        guard let number = try? current() else { return false }
        let line = record.line
        switch place {
        case .file: return lines.put(line, to: LossyOutput(number))
        case .socket(let path):
            return line.withUnsafeBytes {
                (try? DatagramSocket(descriptor: number).send($0, to: .unix(path: path))) != nil
            }
        }
    }

    private func current() throws(SystemError) -> Int32 {
        let number: Int32
        if let value = descriptor.value { number = Int32(value) } else { number = try open() }
        if isOld.load(ordering: .relaxed), isOld.exchange(false, ordering: .relaxed) { replace(number) }
        return number
    }

    /// The number stays: other OS threads may be writing.
    private func replace(_ number: Int32) {
        guard case .file(let path) = place else { return }
        // The old one is written to until it can be had.
        guard let new = try? RecordSink.open(path) else { return isOld.store(true, ordering: .relaxed) }
        if dup2(new, number) >= 0 { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
        close(new)
    }

    private func open() throws(SystemError) -> Int32 {
        let number: Int32 =
            switch place {
            case .file(let path): try RecordSink.open(path)
            case .socket: try DatagramSocket().descriptor
            }
        if descriptor.setIfMissing(UInt32(number)) { return number }
        // Another OS thread has opened it meanwhile.
        close(number)
        return Int32(descriptor.value!)
    }

    /// A named pipe without a reader would make a plain opening wait; for reading and writing, it does not.
    private static func open(_ path: String, makes: Bool = true) throws(SystemError) -> Int32 {
        var status = stat()
        let isPipe = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
        let way = isPipe ? O_RDWR : O_WRONLY | O_APPEND | (makes ? O_CREAT : 0)
        let number = Glibc.open(path, way | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o640)
        if number < 0 { throw SystemError(errno) }
        return number
    }
}

extension String {
    /// The directory of a path, as in `/var/log/` of `/var/log/records`.
    fileprivate var withoutLastPart: String { String(self[...lastIndex(of: "/")!]) }
}
