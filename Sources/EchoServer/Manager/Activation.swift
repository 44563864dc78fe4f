import Glibc
import GreenNet

/// Sockets that a service manager has opened and passed in, see sd_listen_fds(3).
///
/// The manager keeps them open when this process ends: the next process serves the clients that connect meanwhile.
enum Activation {
    /// A descriptor that was passed in, and the name that the socket unit has for it.
    struct Passed: Hashable {
        let descriptor: Int32
        let name: String

        /// Whether it is for the admin interface.  The service serves all others.
        var isForAdmin: Bool { name == Activation.adminName }
        /// Whether an earlier start of this program has had the manager keep it.
        var isKept: Bool { name.hasPrefix(KeptListener.prefix) }
        /// Whether its name is usual for a socket of the service: ours, none, or the name of its unit.
        var hasUsualName: Bool {
            isForAdmin || ["echo", Activation.noName, ""].contains(name) || name.hasSuffix(".socket")
        }
    }

    /// The sockets that were passed in, ready to accept on.
    struct Sockets {
        let service: [ListeningSocket]
        let admin: [ListeningSocket]
        /// The sockets of the service with an unusual name, which may be a mistake.
        let unusual: [(name: String, address: SocketAddress)]
        /// Those of an earlier start, which the service had opened itself; without a socket where it is none that can be used, and was closed.
        var kept: [(name: String, socket: ListeningSocket?)] = []
    }

    /// The number of the first descriptor.
    static let firstDescriptor: Int32 = 3
    /// The default of the kernel's limit for a process (fs.nr_open).
    private static let most: Int32 = 1 << 20
    /// The manager's name for a socket without a name.
    private static let noName = "unknown"
    /// `FileDescriptorName=` of the admin interface's socket.
    private static let adminName = "admin"

    /// The descriptors for process `pid`, in the order of the socket unit; none where the variables are not set or are for another process.
    /// Throws where the variables make no sense.
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

    /// Makes `passed` ready to accept on, and sorts them into those of the service and of the admin interface.
    static func sort(_ passed: [Passed]) throws(StartFailure) -> Sockets {
        let kept = passed.filter(\.isKept).map { passed in
            let socket = try? InheritedSocket.taken(passed.descriptor)
            if socket == nil { close(passed.descriptor) }
            return (name: passed.name, socket: socket)
        }
        let others = passed.filter { !$0.isKept }
        let all = zip(others, try listen(on: others))
        return Sockets(
            service: all.filter { !$0.0.isForAdmin }.map(\.1), admin: all.filter { $0.0.isForAdmin }.map(\.1),
            unusual: all.filter { !$0.0.hasUsualName }.map { ($0.name, $1.address) }, kept: kept)
    }

    /// Makes `passed` ready to accept on.  They must be listening stream sockets, at any address.
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
