import Glibc
import GreenNet
import TestSupport

/// A network namespace with one link to this one, as another machine would have.
struct Network {
    let name: String
    let link: String
    /// Of this namespace's end of the link.
    let hostAddress: String

    /// Starts `launch` there.
    func launch(_ launch: Program.Launch) -> Program.Launch {
        Program.Launch("/usr/bin/env", ["ip", "netns", "exec", name, launch.path] + launch.arguments)
    }
}

/// Gives `body` two networks, which are removed afterwards.
func withNetworks(_ body: ([Network]) throws -> Void) throws {
    let networks = (1...2).map { number in
        Network(
            name: "greennet-\(getpid())-\(number)", link: "gn\(getpid())-\(number)", hostAddress: "10.213.\(number).1")
    }
    defer { for network in networks { try? ip("netns", "del", network.name) } }
    for network in networks {
        let address = network.hostAddress.dropLast() + "2/30"
        try ip("netns", "add", network.name)
        try ip("link", "add", network.link, "type", "veth", "peer", "name", "eth0", "netns", network.name)
        try ip("address", "add", "\(network.hostAddress)/30", "dev", network.link)
        try ip("link", "set", network.link, "up")
        try ip("-n", network.name, "address", "add", String(address), "dev", "eth0")
        try ip("-n", network.name, "link", "set", "eth0", "up")
    }
    try body(networks)
}

private func ip(_ words: String...) throws {
    let result = try Program.run(Program.Launch("/usr/bin/env", ["ip"] + words))
    if result.exit != .status(0) { throw ProgramFailure(text: "ip \(words.joined(separator: " ")): \(result.error)") }
}
