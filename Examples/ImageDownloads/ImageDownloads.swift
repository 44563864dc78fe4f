// Downloads a list of images, at most three at a time.
//
// Shows `GreenPool`: `map` fetches the images side by side and returns them in the order of the list; the first failure would end the other downloads.
// Without arguments, the HTTP server that has the images is a green thread of the same program.  With a directory and URLs it gets those, over HTTPS too
// (ImageFiles.swift).
//
//     swift run ImageDownloads
//     swift run ImageDownloads . https://www.swift.org/apple-touch-icon.png

import CourseKit
import CourseWeb
import Glibc
import GreenNet

@main struct ImageDownloads {
    static let atOnce = 3
    static let names = ["ash", "beech", "cedar", "elm", "fir", "hazel", "larch", "oak", "pine", "yew"]

    static func main() {
        let words = arguments(0...1001, usage: "ImageDownloads [DIRECTORY URL...]")
        if words.isEmpty { return orEnd { try downloadFromOwnServer() } }
        if words.count == 1 { end(EX_USAGE, "usage: ImageDownloads [DIRECTORY URL...]") }
        exit(ImageFiles(directory: words[0], urls: Array(words.dropFirst())).download())
    }

    static func downloadFromOwnServer() throws {
        var (connections, most) = (0, 0)
        let server = try StreamServer(on: .loopback(port: 0)) { connection in
            connections += 1
            most = max(most, connections)
            defer { connections -= 1 }
            try serveImage(on: connection)
        }
        server.start()
        let images = try withTimeout(.seconds(30)) {
            try GreenPool(limit: atOnce).map(names) { name in
                try download("/\(name).pgm", from: server.listeners[0].address)
            }
        }
        for (name, image) in zip(names, images) { print("\(name).pgm: \(image.count) bytes") }
        print("at most \(most) at a time")
        try server.stop()
    }

    struct BadAnswer: Error { let head: String }

    /// What the server has under `path`.
    static func download(_ path: String, from server: SocketAddress) throws -> ArraySlice<UInt8> {
        let connection = try Connection.connect(to: server)
        try connection.sendAll("GET \(path) HTTP/1.1\r\nHost: \(server)\r\nConnection: close\r\n\r\n")
        let answer = try connection.receiveAll()
        let end = answer.firstRange(of: "\r\n\r\n".utf8)
        let head = String(decoding: answer[..<(end?.lowerBound ?? answer.endIndex)], as: UTF8.self)
        guard let end, head.hasPrefix("HTTP/1.1 200 ") else { throw BadAnswer(head: head) }
        return answer[end.upperBound...]
    }

    /// A grey square, the larger the longer its name, from a server that takes its time.
    static func serveImage(on connection: Connection) throws {
        guard let bytes = try connection.receive() else { return }
        let request = String(decoding: bytes, as: UTF8.self)
        let path = request.split(separator: " ").dropFirst().first ?? "/"
        try Greenlet.sleep(for: .milliseconds(20))
        let side = 10 * path.utf8.count
        let image = Array("P5 \(side) \(side) 255\n".utf8) + [UInt8](repeating: 128, count: side * side)
        try connection.sendAll("HTTP/1.1 200 OK\r\nContent-Length: \(image.count)\r\n\r\n")
        try connection.sendAll(image)
    }
}
