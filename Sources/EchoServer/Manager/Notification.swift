import Glibc
import GreenNet

/// A notification for the service manager, as sd_notify(3) has it.
enum Notification: Hashable {
    /// The service accepts connections; also sent after a reload.
    case ready
    case reloading(since: Deadline)
    /// Another process is the service's from now on.
    case mainProcess(pid_t)
    /// The service stops, for good.
    case stopping
    /// All hubs turn.
    case watchdog
    /// The current state may last this much longer from now, even if the unit's timeout is shorter.
    case extendTimeout(by: Duration)
    /// Keep the descriptors that come with it, under this name, for the next start.
    case keep(String)
    /// Close what was kept under this name.
    case forget(String)
    /// One line, for people.
    case status(String)

    /// A datagram with all of them.
    static func datagram(_ notifications: [Notification]) -> String {
        notifications.map { "\($0.assignment)\n" }.joined()
    }

    private var assignment: String {
        switch self {
        case .ready: "READY=1"
        // Without the time, a manager that waits for the end of the reload would wait for ever.
        case .reloading(let start): "RELOADING=1\nMONOTONIC_USEC=\(start.nanoseconds / 1000)"
        case .mainProcess(let process): "MAINPID=\(process)"
        case .stopping: "STOPPING=1"
        case .watchdog: "WATCHDOG=1"
        case .extendTimeout(let duration): "EXTEND_TIMEOUT_USEC=\(duration.nanoseconds / 1000)"
        case .keep(let name): "FDSTORE=1\nFDNAME=\(name)"
        case .forget(let name): "FDSTOREREMOVE=1\nFDNAME=\(name)"
        case .status(let text): "STATUS=\(text)"
        }
    }
}
