/// Exit statuses of sysexits.h, which init systems know by name.
package enum ExitStatus: Int32, Sendable {
    case usage = 64
    case unavailable = 69
    case system = 71
    case permission = 77
    case configuration = 78

    /// As a shell has it for a program that a signal has ended.
    package static func ended(bySignal number: Int32) -> Int32 { 128 + number }
}
