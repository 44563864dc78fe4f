import Glibc

/// Who may connect to a unix socket: mode, owner and group of its path.  What is nil stays as the kernel makes it: the mode by the umask,
/// the others those of the process.
package struct UnixPermissions: Hashable, Sendable {
    package var mode: mode_t?
    package var owner: uid_t?
    package var group: gid_t?

    package init(mode: mode_t? = nil, owner: uid_t? = nil, group: gid_t? = nil) {
        (self.mode, self.owner, self.group) = (mode, owner, group)
    }

    /// Before the bind: the path that it makes will allow nothing.  The mode of the path is that of the socket, less the umask; so other OS
    /// threads are left alone, as they would not be by another umask.
    func withholdAll(from descriptor: Int32, at address: SocketAddress) throws(NetError) {
        if mode != nil { try UnixPermissions.check(.chmod, SystemCalls.setMode(descriptor, 0), address) }
    }

    /// Between the bind and the listen: no client can be connected yet.  First the owner, so that the mode counts for the right one.
    func grant(at path: String, of address: SocketAddress) throws(NetError) {
        if self == UnixPermissions() { return }
        // Who may write to the directory could put something else there meanwhile: whatever it is, it is looked at and changed as one.
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
