import Glibc
import Testing

@testable import EchoServer

@Suite struct ManagerVariablesTests {
    private static let names = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ]

    /// For a child would take them for its own.
    @Test func `what is taken is no longer in the environment`() {
        for name in ManagerVariablesTests.names { setenv(name, "value of \(name)", 1) }
        let variables = ManagerVariables.take()
        for name in ManagerVariablesTests.names {
            #expect(variables[name] == "value of \(name)")
            #expect(getenv(name) == nil, "\(name)")
        }
    }

    @Test func `what is not there is not there`() {
        for name in ManagerVariablesTests.names { #expect(ManagerVariables.take()[name] == nil) }
    }

    @Test func `a process is named by its id`() throws {
        let variables = ManagerVariables(["LISTEN_PID": "12"])
        #expect(try variables.names(12, in: "LISTEN_PID"))
        #expect(try !variables.names(1, in: "LISTEN_PID"))
        #expect(try !variables.names(12, in: "WATCHDOG_PID"))
    }
}
