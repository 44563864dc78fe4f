import CourseKit
import CourseWeb
import Glibc
import GreenNet

/// Images of any servers, written to files of a directory.
struct ImageFiles {
    static let (longest, redirects, limit) = (64 << 20, 5, Duration.seconds(30))
    let directory: String
    let urls: [String]

    /// The exit status: that of the first URL that failed.  Those that have not failed are there, each whole.
    func download() -> Int32 {
        let names = urls.map(fileName)
        for (name, url) in zip(names, urls) where names.count(where: { $0 == name }) > 1 {
            end(EX_USAGE, "two files would be \(name.debugDescription), one of them from \(url)")
        }
        return orEnd {
            try Web.load()
            let statuses = try GreenPool(limit: ImageDownloads.atOnce).map(zip(urls, names)) { url, name in
                try self.download(url, to: "\(directory)/\(name)")
            }
            return statuses.first { $0 != EX_OK } ?? EX_OK
        }
    }

    private func download(_ url: String, to path: String) throws -> Int32 {
        do {
            let page = try withTimeout(ImageFiles.limit) {
                try Web.get(url, longest: ImageFiles.longest, redirects: ImageFiles.redirects)
            }
            guard 200..<300 ~= page.status else { return told(EX_UNAVAILABLE, "\(page.status): \(url)") }
            // Beside, and then renamed: at no moment is half an image there.
            try replaceFile(path, with: page.body)
            say("\(path): \(page.body.count) bytes")
            return EX_OK
        } catch let error as FileError {
            return told(EX_CANTCREAT, "\(error)")
        } catch {
            return told(EX_UNAVAILABLE, "\(url): \(error)")
        }
    }

    private func told(_ status: Int32, _ text: String) -> Int32 {
        complain(text)
        return status
    }

    /// The last part of the path, in which there is nothing that would lead out of the directory.
    private func fileName(_ url: String) -> String {
        let path = url.prefix { $0 != "?" && $0 != "#" }.dropFirst(Web.site(of: url).count)
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        return name.isEmpty || name.hasPrefix(".") ? "image\(name)" : name
    }
}
