import GreenNet

/// What `--version` prints.
enum Version {
    static let number = "0.1.0"

    static var text: String { "echo-server \(number) (libev \(GreenNetInfo.libevVersion), epoll)" }
}
