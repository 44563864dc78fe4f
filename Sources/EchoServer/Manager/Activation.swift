import Glibc
import GreenNet

/// Sockets that a service manager has opened and has handed over, as sd_listen_fds(3) has it.
///
/// They stay open with the manager when this process ends: those who connect meanwhile are served by the next one.
enum Activation {
    /// A descriptor that was passed, and the name that the socket unit has for it.
    struct Passed: Hashable {
        let descriptor: Int32
        let name: String

        /// Whether it is one for the admin interface; all others are served.
        var isForAdmin: Bool { name == Activation.adminName }
        /// Whether it is one of those that a socket of the service has: ours, none, or that of its unit.
        var hasUsualName: Bool {
            isForAdmin || ["echo", Activation.noName, ""].contains(name) || name.hasSuffix(".socket")
        }
    }

    /// All that were passed in, ready to accept on.
    struct Sockets {
        let service: [ListeningSocket]
        let admin: [ListeningSocket]
        /// Those of the service with a name that may have been meant to say something.
        let unusual: [(name: String, address: SocketAddress)]
    }

    /// What the first one has for a number.
    static let firstDescriptor: Int32 = 3
    /// More than a process can have, unless the kernel was told otherwise (fs.nr_open).
    private static let most: Int32 = 1 << 20
    /// How the manager calls one that has no name.
    private static let noName = "unknown"
    /// `FileDescriptorName=` of the admin interface's.
    private static let adminName = "admin"

    /// Those meant for process `pid`, in the order of the socket unit; none where the variables are not there or are for another process.
    /// Throws where they make no sense.
    static func passed(_ variables: ManagerVariables, to pid: pid_t) throws(StartFailure) -> [Passed] {
        guard try variables.names(pid, in: "LISTEN_PID"), let text = variables["LISTEN_FDS"] else { return [] }
        guard let count = Int32(text), (0...most).contains(count) else {
            throw StartFailure(.configuration, "LISTEN_FDS: '\(text)' is not a number of descriptors")
        }
        guard let list = variables["LISTEN_FDNAMES"] else {
            return (0..<count).map { Passed(descriptor: firstDescriptor + $0, name: noName) }
        }
        let names = count == 0 ? [] : list.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard names.count == Int(count) else {
            throw StartFailure(.configuration, "LISTEN_FDNAMES: '\(list)' does not name \(count) descriptors")
        }
        return zip(firstDescriptor..., names).map { Passed(descriptor: $0, name: $1) }
    }

    /// Makes `passed` ready to accept on, sorted by whom they are for.
    static func sort(_ passed: [Passed]) throws(StartFailure) -> Sockets {
        let all = zip(passed, try listen(on: passed))
        return Sockets(
            service: all.filter { !$0.0.isForAdmin }.map(\.1), admin: all.filter { $0.0.isForAdmin }.map(\.1),
            unusual: all.filter { !$0.0.hasUsualName }.map { ($0.name, $1.address) })
    }

    /// Makes `passed` ready to accept on.  What matters is that they are listening stream sockets, not where they listen.
    static func listen(on passed: [Passed]) throws(StartFailure) -> [ListeningSocket] {
        try passed.map { passed throws(StartFailure) in
            do throws(InheritedSocket.Problem) {
                return try InheritedSocket.listener(passed.descriptor)
            } catch {
                throw StartFailure(
                    .configuration, "descriptor \(passed.descriptor), passed in as '\(passed.name)', \(error)")
            }
        }
    }
}
