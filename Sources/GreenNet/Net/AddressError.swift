/// A text that is not the address that was expected, and why.
public struct AddressError: Error, Hashable, Sendable {
    /// What is wrong with the text.
    public enum Reason: Hashable, Sendable {
        /// There is nothing where the host should be.
        case missingHost
        /// There is a host, and no port.
        case missingPort
        /// The text behind the colon is not a number from 0 to 65535.
        case badPort
        /// A host alone was expected.
        case unexpectedPort
        /// An IPv6 address with something behind it that may be a port, or with half of its brackets.
        case badBrackets
        /// The host ends like an IPv4 address and is none: a number out of range, octal, hexadecimal, too few or too many.
        case badIPv4
        /// The host has colons and is not an IPv6 address.
        case badIPv6
        /// A link-local address belongs to an interface, and none is named.
        case missingInterface
        /// The text behind the `%` can't be an interface.
        case badInterface
        /// There is no interface of this name now.
        case noInterface(String)
        /// The host has characters that no name has.
        case badName
        /// A name, where an address was expected: names are for `Resolver`.
        case name
        /// A unix socket, where a host was expected.
        case path
        /// Not a unix socket's path: too long, empty, or with a zero byte in it.
        case badPath
    }

    /// The text as it was given.
    public let text: String
    /// What is wrong with it.
    public let reason: Reason

    init(_ text: String, _ reason: Reason) { (self.text, self.reason) = (text, reason) }
}

extension AddressError: CustomStringConvertible {
    /// As in `'::1:80' is not an address: an IPv6 address with a port is written in brackets, as in [::1]:80`.
    public var description: String { "'\(text.escaped)' is not an address: \(reason)" }
}

extension AddressError.Reason: CustomStringConvertible {
    /// Without the text, as in `the port is missing`.
    public var description: String {
        switch self {
        case .missingHost: "the host is missing"
        case .missingPort: "the port is missing"
        case .badPort: "a port is a number from 0 to 65535"
        case .unexpectedPort: "the port is given separately"
        case .badBrackets: "an IPv6 address with a port is written in brackets, as in [::1]:80"
        case .badIPv4: "an IPv4 address has four decimal numbers, 0 to 255, without leading zeros"
        case .badIPv6: "an IPv6 address has up to eight hexadecimal numbers between colons"
        case .missingInterface: "a link-local address needs its interface, as in fe80::1%eth0"
        case .badInterface: "an interface's name of 1 to 15 bytes, or its number, follows the %"
        case .noInterface(let name): "there is no interface '\(name.escaped)'"
        case .badName: "a host name has no spaces, and none of / @ [ ] %"
        case .name: "a name is to be looked up first"
        case .path: "a path is no host"
        case .badPath: "the path of a unix socket has 1 to \(SocketAddress.longestUnixPath) bytes"
        }
    }
}
