import Glibc
import GreenNet
import TestSupport

/// A terminal at which the tests type, and whose other side is a program's standard input and output.
final class Terminal {
    private let keyboard: Int32
    /// The program's side.
    let descriptor: Int32
    private(set) var screen: [UInt8] = []

    init() throws {
        keyboard = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        if keyboard < 0 { throw Unexpected("/dev/ptmx: \(SystemError(errno))") }
        // TIOCSPTLCK and TIOCGPTN of linux/tty.h: unlockpt(3) and ptsname(3) are not in Swift's view of glibc.
        var (isLocked, number): (Int32, Int32) = (0, 0)
        guard ioctl(keyboard, 0x4004_5431, &isLocked) == 0, ioctl(keyboard, 0x8004_5430, &number) == 0 else {
            throw Unexpected("/dev/ptmx: \(SystemError(errno))")
        }
        descriptor = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        if descriptor < 0 { throw Unexpected("/dev/pts/\(number): \(SystemError(errno))") }
    }

    func close() {
        _ = Glibc.close(keyboard)
        _ = Glibc.close(descriptor)
    }

    /// Types `text`; control characters work as at any terminal: 4 is Ctrl-D.
    func type(_ text: String) throws {
        guard write(keyboard, text, text.utf8.count) == text.utf8.count else {
            throw Unexpected("typing: \(SystemError(errno))")
        }
    }

    /// Reads the characters that have appeared.
    func collect() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(keyboard, &buffer, buffer.count)
        if count > 0 { screen += buffer[..<count] }
    }

    /// Waits until the screen is exactly `text`, typed characters included.  A new line begins with a carriage return here.
    func waitForScreen(_ text: String) throws {
        let isThere = eventually {
            collect()
            return screen == Array(text.utf8)
        }
        if !isThere {
            throw Unexpected(
                "not \(text.debugDescription), but \(String(decoding: screen, as: UTF8.self).debugDescription)")
        }
    }
}
