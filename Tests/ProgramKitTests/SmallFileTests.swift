import Glibc
import GreenNet
import TestSupport
import Testing

@testable import ProgramKit

struct SmallFileTests {
    @Test func `a file is read as it was written, whole`() throws {
        try withTemporaryPath("file") { path in
            let text = String(repeating: "a line\n", count: 10_000)
            try SmallFile.write(text, to: path)
            #expect(SmallFile.text(of: path) == text)
            try #expect(SmallFile.read(path, upTo: text.utf8.count) == Array(text.utf8))
            #expect(throws: SystemError(EFBIG)) { try SmallFile.read(path, upTo: text.utf8.count - 1) }
            try SmallFile.write("", to: path)
            #expect(SmallFile.text(of: path) == "")
        }
    }

    @Test func `a missing file and a directory are errors, and no text`() throws {
        try withTemporaryDirectory { directory in
            #expect(SmallFile.text(of: "\(directory)/none") == nil)
            #expect(SmallFile.text(of: directory) == nil)
            #expect(throws: SystemError(ENOENT)) { try SmallFile.read("\(directory)/none", upTo: 1) }
            #expect(throws: SystemError(EISDIR)) { try SmallFile.write("x", to: directory) }
            #expect(SmallFile.entries(of: "\(directory)/none") == [])
        }
    }

    @Test func `a full disk is an error at the end of the write`() {
        #expect(throws: SystemError(ENOSPC)) { try SmallFile.write("x", to: "/dev/full") }
    }

    @Test func `the entries of a directory are sorted, without the two dots`() throws {
        try withTemporaryDirectory { directory in
            for name in ["c", "a", "b"] { try SmallFile.write("", to: "\(directory)/\(name)") }
            #expect(SmallFile.entries(of: directory) == ["a", "b", "c"])
        }
    }
}
