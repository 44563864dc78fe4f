import GreenNet

/// What is told to the service manager, in the words of sd_notify(3).
enum Notification: Hashable {
    /// Connections are accepted; after a reload, they are again.
    case ready
    case reloading(since: Deadline)
    /// It ends, and nothing can change that any more.
    case stopping
    /// The hub turns.
    case watchdog
    /// The present state may last so much longer from now, whatever the unit says.
    case extendTimeout(by: Duration)
    /// One line, for people.
    case status(String)

    /// A datagram of them all.
    static func datagram(_ notifications: [Notification]) -> String {
        notifications.map { "\($0.assignment)\n" }.joined()
    }

    private var assignment: String {
        switch self {
        case .ready: "READY=1"
        // Without the time, a manager that waits for the end of the reload would wait in vain.
        case .reloading(let start): "RELOADING=1\nMONOTONIC_USEC=\(start.nanoseconds / 1000)"
        case .stopping: "STOPPING=1"
        case .watchdog: "WATCHDOG=1"
        case .extendTimeout(let length): "EXTEND_TIMEOUT_USEC=\(length.nanoseconds / 1000)"
        case .status(let text): "STATUS=\(text)"
        }
    }
}
