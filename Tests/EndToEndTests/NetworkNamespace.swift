import Glibc
import GreenNet
import TestSupport
import Testing

/// A network of its own, with nothing but a loopback, for the OS thread that enters it and the programs that this starts.  What happens there
/// affects no other process.
enum NetworkNamespace {
    /// The reason why this user or machine can't have such a network; nil if there is none.
    static let obstacle: String? = {
        do {
            try onOSThread { try enter() }
            return nil
        } catch {
            return "\(error)"
        }
    }()

    /// Sources of packets from somewhere else; an answer to them goes nowhere.
    static let elsewhere: UInt32 = 0x0a00_0000

    /// Makes a network for the calling OS thread, until that ends.
    static func enter() throws {
        // Swift's view of glibc leaves it out.
        typealias Unshare = @convention(c) (Int32) -> Int32
        let unshare = dlsym(nil, "unshare").map { unsafeBitCast($0, to: Unshare.self) }
        let newNetwork: Int32 = 0x4000_0000
        guard let unshare, unshare(newNetwork) == 0 else {
            throw Unexpected("no network namespace: \(SystemError(errno))")
        }
        try run("link", "set", "lo", "up")
        try run("route", "add", "10.0.0.0/8", "dev", "lo")
        // The clients are many more than the ports that the kernel gives out by default.
        try write("1024 65535", to: "/proc/sys/net/ipv4/ip_local_port_range")
    }

    /// Gives the machine an address of its own.
    static func add(address: String) throws { try run("address", "add", "\(address)/32", "dev", "lo") }

    /// Runs ip(8) in the network.
    static func run(_ arguments: String...) throws {
        let result = try Program.run(Program.Launch("/usr/bin/env", ["ip"] + arguments))
        if result.exit != .status(0) { throw Unexpected("ip \(arguments.joined(separator: " ")): \(result.error)") }
    }

    /// A counter of the kernel for this OS thread's network, such as `SyncookiesSent`.
    static func count(_ name: String) -> Int {
        let lines = (ProcessStatus.contents(of: "/proc/thread-self/net/netstat") ?? "").split(separator: "\n")
        let words = lines.filter { $0.hasPrefix("TcpExt:") }.map { $0.split(separator: " ") }
        guard words.count == 2, let index = words[0].firstIndex(of: Substring(name)) else { return 0 }
        return Int(words[1][index]) ?? 0
    }
}
