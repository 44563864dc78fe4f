// Three stages, each in a green thread of its own: lines of standard input go, in upper case, behind the end of a file.
//
// Shows bounded queues between the stages, which hold up the stage that is too quick; the end of the input, which passes from stage to stage; and standard input and
// a file that leave the other green threads running.
//
//     swift run ThreeStages lines.txt     # then type lines; Ctrl-D ends it

import CourseKit
import Glibc
import GreenNet

@main struct ThreeStages {
    static func main() {
        let path = arguments(1...1, usage: "ThreeStages FILE")[0]
        orEnd(EX_CANTCREAT) { try copyInUpperCase(to: path) }
    }

    static func copyInUpperCase(to path: String) throws {
        let (read, changed) = (GreenQueue<String>(limit: 10), GreenQueue<String>(limit: 10))
        try withGreenGroup { group in
            group.spawn(name: "read") {
                let lines = LineReader(StandardStream.input)
                while let line = try lines.next() { if !line.isEmpty { try read.put(line) } }
                read.shutDown()
            }
            group.spawn(name: "change") {
                while let line = try read.next() { try changed.put(line.uppercased()) }
                changed.shutDown()
            }
            while let line = try changed.next() { try appendToFile(path, "\(line)\n") }
        }
    }
}
