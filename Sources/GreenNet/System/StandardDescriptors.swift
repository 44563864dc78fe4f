import Glibc

/// The numbers 0 to 2, which programs write to without having opened them.
package enum StandardDescriptors {
    /// Takes the numbers that the caller has closed.  A socket would get them else, and what is meant for standard error would go to
    /// a client.  Opened the wrong way round, they make reading and writing fail with EBADF as before.
    ///
    /// To be called first of all.
    package static func reserve() {
        for (number, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is this one.
            _ = open("/dev/null", mode)
        }
    }
}
