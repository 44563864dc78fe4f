import Glibc

/// Room for the address of any socket, as the socket calls read and write it.
struct KernelAddress {
    var bytes = sockaddr_storage()
    var length = KernelAddress.capacity

    static var capacity: socklen_t { socklen_t(MemoryLayout<sockaddr_storage>.size) }

    var isUnix: Bool { Int32(bytes.ss_family) == AF_UNIX }
}

extension UnsafeMutablePointer<KernelAddress> {
    var address: UnsafeMutablePointer<sockaddr> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: sockaddr.self)
    }
}
