extension ChildProcess {
    /// How a program has ended.
    public enum Exit: Hashable, Sendable {
        /// By itself, with this number.
        case status(Int32)
        /// By this signal.
        case signal(Int32)
        /// Another part of this process has collected its end.
        case unknown
    }
}

extension ChildProcess.Exit {
    /// From a status as wait(2) has it: the signal in the low seven bits, else the number above them.
    package init(waitStatus: Int32) {
        let signal = waitStatus & 0x7f
        self = signal == 0 ? .status(waitStatus >> 8 & 0xff) : .signal(signal)
    }
}

extension ChildProcess.Exit: CustomStringConvertible {
    /// `status 1`, `signal 9` or `unknown`.
    public var description: String {
        switch self {
        case .status(let number): "status \(number)"
        case .signal(let number): "signal \(number)"
        case .unknown: "unknown"
        }
    }
}
