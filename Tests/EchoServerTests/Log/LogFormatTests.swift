import Glibc
import Testing

@testable import EchoServer

@Suite struct LogFormatTests {
    private func stream(of descriptor: Int32) -> (device: UInt64, inode: UInt64) {
        var status = stat()
        fstat(descriptor, &status)
        return (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    @Test func `auto is the journal where JOURNAL_STREAM names what is there, in decimal`() {
        let pipe = LogPipe()
        let (device, inode) = stream(of: pipe.writing)
        #expect(LogFormat.auto.resolved(for: pipe.writing, journalStream: "\(device):\(inode)") == .journal)
    }

    @Test func `JOURNAL_STREAM that names something else counts for nothing`() {
        let (pipe, other) = (LogPipe(), LogPipe())
        let (device, inode) = stream(of: pipe.writing)
        let hexadecimal = String(inode | 0xa000, radix: 16)
        for text in [
            "\(device):\(inode + 1)", "\(device + 1):\(inode)", "\(device):\(inode):1", "\(device)", ":", "", "x:y",
            "\(device):0x\(hexadecimal)", " \(device):\(inode)", "-\(device):\(inode)",
            "\(device):\(stream(of: other.writing).inode)",
        ] {
            #expect(LogFormat.auto.resolved(for: pipe.writing, journalStream: text) == .json, "\(text)")
        }
    }

    @Test func `auto is text on a terminal`() throws {
        let terminal = try Terminal()
        #expect(LogFormat.auto.resolved(for: terminal.slave, journalStream: "1:2") == .text)
    }

    @Test func `auto is JSON for all else, and for what is closed`() {
        let pipe = LogPipe()
        #expect(LogFormat.auto.resolved(for: pipe.writing, journalStream: nil) == .json)
        #expect(LogFormat.auto.resolved(for: -1, journalStream: "0:0") == .json)
    }

    @Test(arguments: [LogFormat.text, .json, .journal])
    func `a format that was asked for is used for any descriptor`(format: LogFormat) throws {
        let pipe = LogPipe()
        let (device, inode) = stream(of: pipe.writing)
        #expect(format.resolved(for: pipe.writing, journalStream: "\(device):\(inode)") == format)
        let terminal = try Terminal()
        #expect(format.resolved(for: terminal.slave, journalStream: nil) == format)
    }
}
