import Glibc

/// How signals are when the program starts is its parent's doing: nohup, a shell's background job or a supervisor with a mask of its own
/// leave some blocked or ignored.  What the program's manual says of a signal holds all the same.
package enum InheritedSignals {
    /// Gives `defaults` their default action, ignores `ignored`, and lets all signals through.  Others that were ignored stay so.
    ///
    /// To be called first of all: what one signal did until then was for the parent to decide.
    package static func replace(withDefault defaults: [Int32], ignoring ignored: [Int32] = []) {
        for number in defaults { signal(number, SIG_DFL) }
        for number in ignored { signal(number, SIG_IGN) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }
}
