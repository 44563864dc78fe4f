import Glibc

/// Mode, owner and group of a unix socket's path: a client needs the right to write there to connect.  A nil stays as the kernel makes it: the mode by the
/// umask, owner and group those of the process.
public struct UnixPermissions: Hashable, Sendable {
    /// The permission bits, such as 0o660.
    public var mode: mode_t?
    /// The owner's number.
    public var owner: uid_t?
    /// The group's number.
    public var group: gid_t?

    /// Each nil stays as the kernel makes it.
    public init(mode: mode_t? = nil, owner: uid_t? = nil, group: gid_t? = nil) {
        (self.mode, self.owner, self.group) = (mode, owner, group)
    }

    /// Before the bind: the path that it makes will allow nothing.  The mode of the path is that of the socket, less the umask; so other OS
    /// threads are left alone, which a change of the umask would not do.
    func withholdAll(from descriptor: Int32, at address: SocketAddress) throws(NetError) {
        if mode != nil { try UnixPermissions.check(.chmod, SystemCalls.setMode(descriptor, 0), address) }
    }

    /// Between the bind and the listen: no client can be connected yet.  First the owner, so that the mode counts for the right one.
    func grant(at path: String, of address: SocketAddress) throws(NetError) {
        if self == UnixPermissions() { return }
        // Another process that may write to the directory could put another file there meanwhile: the kind is read, and the rights are changed, of one file.
        let file = SystemCalls.openPath(path)
        try UnixPermissions.check(.chmod, file, address)
        defer { SystemCalls.close(Int32(file)) }
        if SystemCalls.kind(of: Int32(file)) != S_IFSOCK { throw NetError(.chmod, result: -Int(ENOTSOCK), address) }
        if owner != nil || group != nil {
            let result = SystemCalls.setOwner(ofPath: Int32(file), owner, group)
            try UnixPermissions.check(.chown, result, address)
        }
        if let mode { try UnixPermissions.check(.chmod, SystemCalls.setMode(ofPath: Int32(file), mode), address) }
    }

    private static func check(_ call: NetError.Call, _ result: Int, _ address: SocketAddress) throws(NetError) {
        if result < 0 { throw NetError(call, result: result, address) }
    }
}
