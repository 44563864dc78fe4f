internal import CCurl
import Glibc
import GreenNet
import GreenPatch

/// Pages over HTTP and HTTPS by libcurl, whose blocking calls park the green thread that makes them.
///
/// Certificates are checked against those of the system, or of the file that `CURL_CA_BUNDLE` names.
public enum Web {
    /// What a server has answered, with whatever status.
    public struct Page {
        /// As 200 or 404.
        public let status: Int
        /// Without the head.
        public let body: [UInt8]
        /// Where the answer sends its reader, where it was not followed.
        public let redirect: String?
    }

    /// Why there is no answer, in libcurl's words.
    public struct Failed: Error, CustomStringConvertible {
        /// As `Could not resolve host: x`.
        public let description: String
    }

    /// Loads libcurl and has its calls park; to be called once, before `get`.  Throws where the library is not there.
    public static func load() throws {
        // The hub for which it is installed.
        _ = Hub.current
        try GreenPatch.install(main: true)
        var failure: UnsafePointer<CChar>?
        if curl_load(&failure) != 0 { throw Failed(description: failure.map { String(cString: $0) } ?? "no libcurl") }
    }

    /// Follows at most `redirects`.  Throws `Failed`, also where the body has more than `longest` bytes, and `TimedOut` in an enclosing `withTimeout`.
    public static func get(_ url: String, longest: Int, redirects: Int = 0) throws -> Page {
        // A variable of this frame: the library holds its address over its waits.
        var page = curl_page()
        defer { for text in [page.body, page.redirect, page.failure] { free(text) } }
        let authorities = getenv("CURL_CA_BUNDLE")
        try GreenPatch.call { curl_get(url, redirects, longest, authorities, &page) }
        if let failure = page.failure { throw Failed(description: String(cString: failure)) }
        return Page(
            status: page.status, body: [UInt8](UnsafeRawBufferPointer(start: page.body, count: page.length)),
            redirect: page.redirect.map { String(cString: $0) })
    }

    /// A link of the page at `base` as a whole URL; nil where it leads to no page of HTTP or HTTPS.
    public static func join(_ base: String, _ link: String) -> String? {
        guard let joined = curl_join(base, link) else { return nil }
        defer { free(joined) }
        let url = String(cString: joined)
        return url.hasPrefix("http://") || url.hasPrefix("https://") ? url : nil
    }

    /// As `https://example.org:8443` of a whole URL.
    public static func site(of url: String) -> Substring {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return url[..<(parts.count > 2 ? parts[2].endIndex : url.endIndex)]
    }
}
