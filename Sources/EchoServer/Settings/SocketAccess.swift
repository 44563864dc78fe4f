import Glibc
import GreenNet

/// Mode, owner and group of a unix socket's path, as the settings have them: they decide who may connect.
struct SocketAccess: Hashable, Sendable {
    var mode: mode_t?
    /// A name or a number.  Names are looked up when the socket is made.
    var owner: String?
    var group: String?

    /// Looks names up, on this OS thread.  `prefix` is that of the settings' names.
    func permissions(_ prefix: String) throws(StartFailure) -> UnixPermissions {
        UnixPermissions(
            mode: mode, owner: try Account.user.number(owner, "\(prefix)-owner"),
            group: try Account.group.number(group, "\(prefix)-group"))
    }

    /// Nil where the text is not octal digits of at most 0777.
    @Sendable
    static func mode(_ text: String) -> mode_t? {
        let isOctal = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) }
        guard isOctal, let mode = mode_t(text, radix: 8), mode <= 0o777 else { return nil }
        return mode
    }

    /// As in `0660`.
    @Sendable
    static func show(_ mode: mode_t) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

/// Users and groups, which have names and numbers.
enum Account: String {
    case user, group

    /// chown(2) takes the number after it as "no change".
    static let largestNumber = UInt32.max - 1

    /// Whether a text can be a name, or is a number in range.
    @Sendable
    static func isWellFormed(_ text: String) -> Bool {
        if isNumber(text) { return UInt32(text).map { $0 <= largestNumber } ?? false }
        return !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: ":") }
    }

    private static func isNumber(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// The number of an account, given by its name or number; nil for nil.  Throws, with the setting's name, where no account has that name.
    func number(_ text: String?, _ setting: String) throws(StartFailure) -> UInt32? {
        guard let text else { return nil }
        if Account.isNumber(text) { return UInt32(text) }
        var room = 1024
        while true {
            let (result, number) = lookUp(text, room: room)
            if let number { return number }
            // Name services report "not found" with several numbers.
            if result == 0 || [ENOENT, ESRCH, EBADF, EPERM].contains(result) {
                throw StartFailure(
                    .configuration,
                    "\(setting): there is no \(rawValue) '\(text)'; a number needs no entry in /etc/passwd or /etc/group"
                )
            }
            room *= 2
            if result != ERANGE || room > 1 << 24 {
                throw StartFailure(.system, "\(setting): cannot look up \(rawValue) '\(text)': \(SystemError(result))")
            }
        }
    }

    private func lookUp(_ name: String, room: Int) -> (result: Int32, number: UInt32?) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: room) { buffer in
            switch self {
            case .user:
                var entry = passwd()
                var found: UnsafeMutablePointer<passwd>?
                let result = getpwnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
                return (result, found?.pointee.pw_uid)
            case .group:
                var entry = Glibc.group()
                var found: UnsafeMutablePointer<Glibc.group>?
                let result = getgrnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
                return (result, found?.pointee.gr_gid)
            }
        }
    }
}
