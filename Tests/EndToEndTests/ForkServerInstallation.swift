import Glibc
import GreenNet
import TestSupport

/// echo-server and its fork server as an installation places them.  Where they were built, the server finds none.
enum ForkServerInstallation {
    /// The path of that server.
    static let server = Result { try place() }

    private static func place() throws -> String {
        let (server, forkServer) = (try Program.built("echo-server").path, try Program.built("EchoForkServer").path)
        let directory = forkServer + ".installed"
        for path in ["", "/bin", "/libexec", "/libexec/echo-server"] { mkdir(directory + path, 0o755) }
        // Of the server a second name and no symbolic link: it looks beside the file that it is.
        let installed = directory + "/bin/echo-server"
        try place(installed) { link(server, $0) }
        try place(directory + "/libexec/echo-server/echo-fork-server") { symlink(forkServer, $0) }
        return installed
    }

    /// Another run of tests may do so at the same time.
    private static func place(_ path: String, by make: (String) -> Int32) throws {
        unlink(path)
        if make(path) != 0, errno != EEXIST { throw SystemError(errno) }
    }
}
