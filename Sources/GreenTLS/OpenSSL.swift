internal import COpenSSL
import GreenNet

/// OpenSSL's functions, which are looked up when a context is made first.
typealias OpenSSL = UnsafePointer<green_openssl>

extension OpenSSL {
    /// Throws where libssl.so.3 is missing or is another version's.
    static func load() throws(TLSContextError) -> OpenSSL {
        if let functions = green_openssl() { return functions }
        throw .noLibrary(green_openssl_failure().map { String(cString: $0) } ?? "it can't be loaded")
    }

    /// Once a context exists.
    static var loaded: OpenSSL { green_openssl()! }
}

// MARK: - Errors

/// An entry of OpenSSL's error queue.
///
/// The queue is the OS thread's, which green threads share: it is cleared before each call and looked at right after it, and no green thread parks in between.
struct OpenSSLError {
    let code: UInt

    /// Which part of OpenSSL has reported it: `ERR_LIB_SSL` and so on.
    var library: Int32 { green_tls_library(code) }
    /// Its number there: `SSL_R_...` and so on.
    var reason: Int32 { green_tls_reason(code) }

    /// As `no start line`.
    var words: String {
        guard code != 0 else { return "no reason given" }
        guard let words = OpenSSL.loaded.pointee.ERR_reason_error_string(code) else {
            return "OpenSSL's error \(reason) of library \(library)"
        }
        return String(cString: words)
    }

    /// The first that the last call has reported: those behind it are what followed from it.
    static func first(_ openssl: OpenSSL) -> OpenSSLError { OpenSSLError(code: openssl.pointee.ERR_peek_error()) }
}
