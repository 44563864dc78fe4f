import Glibc

/// The OS threads of this process.
enum ProcessThreads {
    /// Whether there are more than the calling one.  Where /proc can't be read, whether there ever were.
    static var areSeveral: Bool {
        var status = stat()
        // A folder has a link for itself, one in its parent, and one for each folder in it.
        return stat("/proc/self/task", &status) == 0 ? status.st_nlink > 3 : !LinuxCalls.isSingleThreaded
    }
}
