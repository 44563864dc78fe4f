import Glibc

/// The OS threads of this process.
enum ProcessThreads {
    /// Whether there are more than the calling one.  Where /proc can't be read, whether there ever were.
    static var areSeveral: Bool { count > 1 }

    /// How many there are.  Where /proc can't be read, 2 stands for all numbers above 1.
    static var count: Int {
        var status = stat()
        // A folder has a link for itself, one in its parent, and one for each folder in it.
        if stat("/proc/self/task", &status) == 0 { return Int(status.st_nlink) - 2 }
        return LinuxCalls.isSingleThreaded ? 1 : 2
    }

    /// How many a program has that has started none: a sanitizer may have one of its own.
    static var countAtStart: Int { Sanitizer.active == .thread ? 2 : 1 }
}
