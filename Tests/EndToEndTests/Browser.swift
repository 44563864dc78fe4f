import Glibc
import GreenNet
import TestSupport

/// A browser without a window.
enum Browser {
    private static let path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .first { (path: String) in access(path, X_OK) == 0 }

    static var isThere: Bool { path != nil }

    /// The text of the page at `address` after its script has run for `time`.
    static func text(of address: String, waiting time: Duration) throws -> String {
        guard let path else { throw Unexpected("no browser") }
        let milliseconds = time.components.seconds * 1000
        let result = try Program.run(
            Program.Launch(
                path,
                [
                    "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=\(milliseconds)",
                    "--dump-dom",
                    address,
                ]))
        return result.output
    }
}
