import Glibc
import Testing

@testable import EchoServer

@Suite struct ManagerVariablesTests {
    private static let names = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ]

    /// A child would take the variables for its own.
    @Test func `variables that were taken are no longer in the environment`() throws {
        for name in ManagerVariablesTests.names { setenv(name, "value of \(name)", 1) }
        let variables = try ManagerVariables.take()
        for name in ManagerVariablesTests.names {
            #expect(variables[name] == "value of \(name)")
            #expect(getenv(name) == nil, "\(name)")
        }
    }

    @Test func `a variable that is not UTF-8 is refused, with its name`() {
        setenv("NOTIFY_SOCKET", [0x2f, 0xff, 0].map { CChar(bitPattern: $0) }, 1)
        defer { unsetenv("NOTIFY_SOCKET") }
        let failure = #expect(throws: StartFailure.self) { try ManagerVariables.take() }
        #expect(failure?.message == #"NOTIFY_SOCKET: '/\xff' is not UTF-8"#)
    }

    @Test func `a missing variable has no value`() throws {
        for name in ManagerVariablesTests.names { try #expect(ManagerVariables.take()[name] == nil) }
    }

    @Test func `a process is named by its id`() throws {
        let variables = ManagerVariables(["LISTEN_PID": "12"])
        #expect(try variables.names(12, in: "LISTEN_PID"))
        #expect(try !variables.names(1, in: "LISTEN_PID"))
        #expect(try !variables.names(12, in: "WATCHDOG_PID"))
    }
}
