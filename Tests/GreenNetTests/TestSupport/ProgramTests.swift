import Glibc
import TestSupport
import Testing

struct ProgramTests {
    @Test func `a program ends with the tests, also where these are killed, and not before`() async throws {
        let result = try await #require(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let program = try TestThread { try Program(Program.Launch("/bin/sleep", ["1000"])) }.value()
            try #require(!program.hasEnded)
            print("started \(program.pid).")
            fflush(nil)
            kill(getpid(), SIGKILL)
        }
        let output = String(decoding: result.standardOutputContent, as: UTF8.self)
        let match = try #require(output.firstMatch(of: /started ([0-9]+)\./))
        let pid = try #require(pid_t(match.1))
        // Its new parent may not have collected it: then it has no memory.
        #expect(eventually { ProcessStatus(pid) == nil })
    }
}
