import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct FilesTests {
    @Test(arguments: [0, 1, 1 << 20, 3_000_001])
    func `what is written is read, whole`(count: Int) throws {
        try onHub {
            try withTemporaryPath("file") { path in
                try writeFile(path, pattern(count))
                expectSame(try readFile(path), pattern(count))
                expectSame(try readFile(path, limit: count), pattern(count))
                guard count > 0 else { return }
                #expect(throws: FileTooLong(path: path, limit: count - 1)) { try readFile(path, limit: count - 1) }
                try writeFile(path, "short", syncs: true)
                try #expect(readFile(path) == Array("short".utf8))
            }
        }
    }

    @Test func `what is appended comes behind, also of many at once`() throws {
        try onHub {
            try withTemporaryPath("file") { path in
                try withGreenGroup { group in
                    for index in 0..<20 {
                        group.spawn {
                            for _ in 0..<10 { try appendToFile(path, "\(String(repeating: "x", count: index))\n") }
                        }
                    }
                }
                let lines = String(decoding: try readFile(path), as: UTF8.self).split(
                    separator: "\n", omittingEmptySubsequences: false)
                #expect(lines.map(\.count).sorted() == [0] + (0..<20).flatMap { Array(repeating: $0, count: 10) })
            }
        }
    }

    @Test func `an error of the close is thrown where the file was written and nothing has failed before`() async {
        // In a process of its own, for no other OS thread may open a file in between.
        await #expect(processExitsWith: .success) {
            let path = "/tmp/greennet-close-\(getpid())"
            func outcome(_ flags: Int32, _ body: () throws -> Void) -> String {
                do {
                    try withFile(path, flags) { file in
                        // So that the close which follows fails.
                        close(file)
                        try body()
                    }
                    return "done"
                } catch { return "\(error)" }
            }
            defer { unlink(path) }
            #expect(outcome(O_WRONLY | O_CREAT) {} == "cannot close \(path): bad file descriptor (EBADF)")
            #expect(outcome(O_RDWR) { throw Failure(3) } == "Failure(3)")
            #expect(outcome(O_RDONLY) {} == "done")
        }
    }

    @Test func `errors name the path, the call and the reason`() throws {
        try onHub {
            try withTemporaryDirectory { directory in
                let missing = #expect(throws: FileError.self) { try readFile("\(directory)/none") }
                #expect(missing?.description == "cannot open \(directory)/none: no such file or directory (ENOENT)")
                let isDirectory = #expect(throws: FileError.self) { try readFile(directory) }
                #expect(isDirectory?.call == .read && isDirectory?.errno.code == EISDIR)
                let cut = #expect(throws: FileError.self) { try writeFile("\(directory)/a\0b", "x") }
                #expect(cut?.errno.code == EINVAL)
                #expect(mkfifo("\(directory)/fifo", 0o600) == 0)
                let pipe = #expect(throws: FileError.self) { try readFile("\(directory)/fifo") }
                #expect(pipe?.errno.code == ESPIPE)
                let full = #expect(throws: FileError.self) { try appendToFile("/dev/full", "x") }
                #expect(full?.description == "cannot write to /dev/full: no space left on device (ENOSPC)")
                #expect(full?.written == 0)
                try #expect(readFile("/proc/self/stat").count > 10, "a file without a size")
                #expect(throws: FileTooLong.self) { try readFile("/dev/zero", limit: 1000) }
            }
        }
    }

    @Test func `a deadline that has passed, and a kill, leave nothing running and nothing written`() throws {
        try onHub {
            try withTemporaryPath("file") { path in
                let error = #expect(throws: WaitError.self) {
                    try readFile("/dev/zero", limit: .max, until: .after(.milliseconds(20)))
                }
                #expect(error == .deadlinePassed)
                let reader = spawn { try readFile("/dev/zero", limit: .max) }
                try reader.waitUntilParked()
                reader.kill()
                try reader.join()
                #expect(reader.state == .killed)
                let writer = spawn {
                    Greenlet.current.kill()
                    try appendToFile(path, "x")
                }
                try writer.join()
                // A file that was written before the writer could see its kill counts.
                let text = try? readFile(path)
                #expect(writer.failure.map(\.isCancellation) ?? (text == Array("x".utf8)))
                #expect(text == nil || text == [] || text == Array("x".utf8))
            }
        }
    }

    // MARK: Replacing

    @Test func `a replaced file has the new bytes and the old mode, and nothing is beside it`() throws {
        try onHub {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/file"
                try replaceFile(path, with: "one", mode: 0o640)
                #expect(mode(of: path) & ~0o040 == 0o600)
                chmod(path, 0o751)
                try replaceFile(path, with: pattern(2_000_000))
                expectSame(try readFile(path), pattern(2_000_000))
                #expect(mode(of: path) == 0o751)
                #expect(entries(of: directory) == ["file"])
            }
        }
    }

    @Test func `a link stays, and what it leads to is replaced`() throws {
        try onHub {
            try withTemporaryDirectory { directory in
                try writeFile("\(directory)/file", "old")
                #expect(symlink("file", "\(directory)/link") == 0)
                try replaceFile("\(directory)/link", with: "new")
                try #expect(readFile("\(directory)/file") == Array("new".utf8))
                #expect(SystemCalls.kind(ofFileAt: "\(directory)/link") == S_IFLNK)
            }
        }
    }

    @Test func `a file that can't be replaced is as it was, with nothing beside it`() throws {
        try onHub {
            try withTemporaryDirectory { directory in
                let onDirectory = #expect(throws: FileError.self) { try replaceFile(directory, with: "x") }
                #expect(onDirectory?.errno.code == EISDIR)
                let noDirectory = #expect(throws: FileError.self) {
                    try replaceFile("\(directory)/none/file", with: "x")
                }
                #expect(noDirectory?.path == "\(directory)/none/file" && noDirectory?.errno.code == ENOENT)
                #expect(mkfifo("\(directory)/fifo", 0o600) == 0)
                #expect(throws: FileError.self) { try replaceFile("\(directory)/fifo", with: "x") }
                #expect(entries(of: directory) == ["fifo"])
            }
        }
    }

    @Test func `a kill at any moment leaves the old file or the new one, and nothing beside it`() throws {
        try onHub {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/file"
                let (old, new) = (pattern(1000), pattern(8_000_000, seed: 1))
                var random = SplitMix(seed: 7)
                var ends = Set<Bool>()
                for _ in 0..<40 {
                    try writeFile(path, old)
                    let writer = spawn { try replaceFile(path, with: new) }
                    try writer.join(until: .after(.microseconds(Int.random(in: 0...8000, using: &random))))
                    writer.kill()
                    try writer.join()
                    let isNew = try readFile(path).count != old.count
                    expectSame(try readFile(path), isNew ? new : old)
                    #expect(entries(of: directory) == ["file"])
                    if isNew { #expect(writer.failure == nil) } else { #expect(writer.state == .killed) }
                    ends.insert(isNew)
                }
                #expect(ends.contains(false))
            }
        }
    }

    private func mode(of path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }
}
