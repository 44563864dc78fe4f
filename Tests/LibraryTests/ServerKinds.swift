import Glibc
import TestSupport

extension LocalServer.Kind {
    static let redis = redis(onAddresses: [])

    /// Also at `addresses`, for clients of other networks, of which it asks no password.
    static func redis(onAddresses addresses: [String]) -> LocalServer.Kind {
        LocalServer.Kind(
            path: "/usr/bin/redis-server",
            arguments: { directory, port in
                let protection = addresses.isEmpty ? "yes" : "no"
                return ["--port", "\(port)", "--bind", "127.0.0.1"] + addresses
                    + ["--protected-mode", protection, "--save", "", "--appendonly", "no", "--dir", directory]
            },
            listens: "Ready to accept connections", usesStandardOutput: true)
    }

    static let postgres = LocalServer.Kind(
        path: "\(postgresPrograms)/postgres", endingSignal: SIGINT,
        preparations: { directory in
            let options = [
                "-D", "\(directory)/data", "-A", "trust", "-U", "test", "--no-sync", "--locale=C", "-E", "UTF8",
            ]
            return [["\(postgresPrograms)/initdb"] + options]
        },
        arguments: { directory, port in
            let settings = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=150"].flatMap { ["-c", $0] }
            return ["-D", "\(directory)/data", "-p", "\(port)", "-k", directory] + settings
        },
        listens: "ready to accept connections")

    static let mariadb = LocalServer.Kind(
        path: "/usr/sbin/mariadbd",
        preparations: { directory in
            let options = ["--no-defaults", "--datadir=\(directory)/data", "--skip-test-db"]
            return [["/usr/bin/mariadb-install-db", "--auth-root-authentication-method=normal"] + options]
        },
        arguments: { directory, port in
            [
                "--no-defaults", "--datadir=\(directory)/data", "--port=\(port)", "--bind-address=127.0.0.1",
                "--socket=\(directory)/socket", "--pid-file=\(directory)/pid", "--max-connections=200",
            ]
        },
        listens: "ready for connections")

    /// For the user of the tests, with keys made for the run.
    static let ssh = LocalServer.Kind(
        path: "/usr/sbin/sshd", isUnprivileged: false,
        preparations: { directory in
            ["host", "user"].map { name in
                [
                    "/usr/bin/ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f",
                    "\(directory)/\(name)",
                ]
            } + [["/bin/cp", "\(directory)/user.pub", "\(directory)/authorized"], ["/bin/mkdir", "-p", "/run/sshd"]]
        },
        arguments: { directory, port in
            // The shell would read the files of the user's home before each command.
            let settings = [
                "ListenAddress 127.0.0.1", "Port \(port)", "HostKey \(directory)/host", "PidFile none", "UsePAM no",
                "AuthorizedKeysFile \(directory)/authorized", "StrictModes no", "PermitRootLogin yes",
                "MaxStartups 200",
                "SetEnv HOME=\(directory)",
            ]
            try write(settings.joined(separator: "\n") + "\n", to: "\(directory)/config")
            return ["-D", "-e", "-f", "\(directory)/config"]
        },
        listens: "Server listening")

    /// Serves one connection after the other.
    static let https = LocalServer.Kind(
        path: "/usr/bin/openssl",
        preparations: { directory in
            let names = ["-keyout", "\(directory)/key", "-out", "\(directory)/certificate", "-subj", "/CN=localhost"]
            return [["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"] + names]
        },
        arguments: { directory, port in
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-key", "\(directory)/key", "-cert",
                "\(directory)/certificate", "-www",
            ]
        },
        listens: "ACCEPT", usesStandardOutput: true)

    /// The newest that is installed.
    private static let postgresPrograms: String = {
        let versions = entries(of: "/usr/lib/postgresql").compactMap { Int($0) }
        return "/usr/lib/postgresql/\(versions.max() ?? 0)/bin"
    }()
}
