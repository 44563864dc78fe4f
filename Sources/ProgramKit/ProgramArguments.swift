internal import CArguments
import Glibc
import GreenNet

/// What the program was started with.  Needs no /proc.
package enum ProgramArguments {
    /// An argument that can't be text.
    package struct NotText: Error, CustomStringConvertible {
        /// Counted from 1, the program's name being 0.
        let number: Int
        /// With `\xff` for each byte that is not UTF-8.
        let shown: String

        package var description: String { "argument \(number), '\(shown)', is not UTF-8" }
    }

    /// Those after the program's name.  Throws for one that is not UTF-8: options are text, and a path that was made to be is another path.
    package static func texts() throws(NotText) -> [String] {
        var texts: [String] = []
        for (index, bytes) in all.enumerated().dropFirst() {
            guard let text = String(utf8: bytes) else { throw NotText(number: index, shown: String(showing: bytes)) }
            texts.append(text)
        }
        return texts
    }

    private static var all: [[UInt8]] {
        let arguments = UnsafeBufferPointer(start: program_arguments(), count: Int(program_argument_count()))
        return arguments.map { $0.map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? [] }
    }

    /// By which the program can be started once more.
    package static var ownPath: String {
        let link = "/proc/self/exe"
        // It leads there even where the file has been replaced since.
        return access(link, X_OK) == 0 ? link : String(cString: program_path())
    }

    /// The path by which the program was started, where that is absolute, and else where it lies.  The file there, or what a symbolic link in the path leads to, may be
    /// another one later.
    package static var path: String {
        let started = String(cString: program_path())
        return started.hasPrefix("/") ? started : location
    }

    /// The path of another program, which lies beside this one.
    package static func sibling(_ name: String) -> String {
        let own = location
        return own.lastIndex(of: "/").map { own[...$0] + name } ?? "./" + name
    }

    private static var location: String { ProcFS.linkTarget("/proc/self/exe") ?? String(cString: program_path()) }
}
