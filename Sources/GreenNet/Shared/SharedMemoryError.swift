/// Why there is no memory to share.
public enum SharedMemoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel gives no memory: the call, the number of bytes, and the kernel's answer.
    case system(call: String, bytes: Int, SystemError)
    /// What is behind the descriptor is no memory that this library has made, or is not open.
    case notShared(descriptor: Int32)
    /// It was made by another version of the library.
    case version(found: Int, expected: Int)
    /// It holds another object, or one with other elements.
    case content(found: String, expected: String)
    /// It was made in another namespace of process numbers, where these processes have other numbers.
    case processNamespace

    /// In words, with the values.
    public var description: String {
        switch self {
        case .system(let call, let bytes, let error): "cannot make \(bytes) bytes of shared memory: \(call): \(error)"
        case .notShared(let descriptor): "descriptor \(descriptor) is no shared memory of GreenNet"
        case .version(let found, let expected):
            "shared memory of version \(found), and this program has version \(expected)"
        case .content(let found, let expected): "shared memory that holds \(found), and not \(expected)"
        case .processNamespace: "shared memory of another process namespace"
        }
    }
}
