import Glibc

/// The parent decides which signals are blocked or ignored when the program starts: nohup, a shell for a background job, a supervisor.  The program's manual
/// promises what a signal does, whatever the parent has left.
package enum InheritedSignals {
    /// Gives `defaults` their default action, ignores `ignored`, and lets all signals through.  Others that were ignored stay so.
    ///
    /// To be called first of all.
    package static func replace(withDefault defaults: [Int32], ignoring ignored: [Int32] = []) {
        for number in defaults { signal(number, SIG_DFL) }
        for number in ignored { signal(number, SIG_IGN) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }
}
