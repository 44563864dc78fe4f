import Glibc

/// A C library that is loaded when it is used first: the package builds without it, and without its headers.
public struct Library {
    private let name: String
    private let handle: UnsafeMutableRawPointer

    /// Throws the loader's words where the library is not there.
    public init(_ name: String) throws {
        // Not RTLD_DEEPBIND, which would lead the library's calls past those of GreenPatch.
        guard let handle = dlopen(name, RTLD_NOW) else { throw NotLoaded(description: String(cString: dlerror())) }
        (self.name, self.handle) = (name, handle)
    }

    /// The function `name`, as the function type that the caller expects: it has to be that of the library's header.
    public func call<Function>(_ name: String) throws -> Function {
        guard let address = dlsym(handle, name) else { throw NotLoaded(description: "\(self.name) has no \(name)") }
        return unsafeBitCast(address, to: Function.self)
    }

    /// The library, or a function of it, is not there.
    public struct NotLoaded: Error, CustomStringConvertible {
        /// What the loader says.
        public let description: String
    }
}
