import Glibc
import GreenNet
import TestSupport
import Testing

@testable import ProgramKit

struct ProcFSTests {
    @Test func `a field is the text after its name, and a number has no unit`() {
        let status = "Name:\ta name\nVmRSS:\t    1234 kB\nThreads:\t7\n"
        #expect(ProcFS.field("Name", of: status) == "a name")
        #expect(ProcFS.number("VmRSS", of: status) == 1234)
        #expect(ProcFS.number("Threads", of: status) == 7)
        #expect(ProcFS.number("Name", of: status) == nil)
        #expect(ProcFS.field("Thread", of: status) == nil)
    }

    @Test func `this process has itself among the processes, and an open file among its descriptors`() throws {
        #expect(ProcFS.numbers(in: "/proc").contains(getpid()))
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(null) }
        #expect(ProcFS.ownDescriptors[null] == "/dev/null")
        #expect(ProcFS.linkTarget("/proc/self/fd/\(null)") == "/dev/null")
        #expect(ProcFS.linkTarget("/proc/self/fd/-1") == nil)
    }

    @Test func `a child is found`() throws {
        let program = try Program(Program.Launch("/bin/sleep", ["1000"]))
        defer { program.end() }
        #expect(ProcFS.children(of: getpid()).contains(program.pid))
    }
}
