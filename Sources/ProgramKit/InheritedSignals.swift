import Glibc

/// The parent decides which signals are blocked or ignored when the program starts: nohup, a shell for a background job, a supervisor.  The program's manual
/// promises what a signal does, whatever the parent has left.
package enum InheritedSignals {
    /// Gives `defaults` their default action, ignores `ignored`, and lets all signals through.  Others that were ignored stay so.  XFSZ is ignored
    /// too: at a limit of file sizes a write fails then, as on a full disk, and does not end the program.
    ///
    /// To be called first of all.
    package static func replace(withDefault defaults: [Int32], ignoring ignored: [Int32] = []) {
        for number in defaults { signal(number, SIG_DFL) }
        for number in ignored + [SIGXFSZ] { signal(number, SIG_IGN) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }
}
