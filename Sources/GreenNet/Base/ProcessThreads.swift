import Glibc

/// The OS threads of this process.
enum ProcessThreads {
    /// Whether there are more than the calling one.  True too where /proc can't be read.
    static var areSeveral: Bool {
        var status = stat()
        // A folder has a link for itself, one in its parent, and one for each folder in it.
        return stat("/proc/self/task", &status) != 0 || status.st_nlink > 3
    }
}
