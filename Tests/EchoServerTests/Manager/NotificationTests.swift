import GreenNet
import Testing

@testable import EchoServer

@Suite struct NotificationTests {
    @Test(
        arguments: [
            ([.ready], "READY=1\n"), ([.stopping], "STOPPING=1\n"), ([.watchdog], "WATCHDOG=1\n"),
            ([.extendTimeout(by: .milliseconds(1500))], "EXTEND_TIMEOUT_USEC=1500000\n"),
            ([.ready, .status("3 connections")], "READY=1\nSTATUS=3 connections\n"),
            // Both lines are in one datagram, or the manager could not assign the time to a reload.
            (
                [.reloading(since: Deadline(nanoseconds: 12_345_678_901))],
                "RELOADING=1\nMONOTONIC_USEC=12345678\n"
            ),
            ([], ""),
        ] as [([EchoServer.Notification], String)])
    func `each notification is a line, as in sd_notify`(notifications: [EchoServer.Notification], text: String) {
        #expect(EchoServer.Notification.datagram(notifications) == text)
    }
}
