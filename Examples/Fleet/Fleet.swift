// Runs a command on many hosts by SSH: ten at a time, with a time limit for each.
//
// Shows the same work in two ways: with the program `ssh` as a child process, and with libssh2, a C library whose blocking calls park on GreenPatch.  Both check
// each host's key against FLEET_KNOWN_HOSTS (else ~/.ssh/known_hosts), and log in with the key FLEET_KEY (else ~/.ssh/id_ed25519).  The course's program
// in Python takes any host's key, one host after the other.
//
//     swift run Fleet ssh 30 'df -h /' admin@a.example.org admin@b.example.org:2222
//     swift run Fleet libssh2 30 'df -h /' admin@a.example.org admin@b.example.org:2222

import CourseKit
import Glibc
import GreenNet
import GreenPatch

/// A way to run a command on a host.
protocol Runner {
    /// All that the command prints, and the status with which it has ended.
    func run(_ command: String, on host: Host) throws -> (output: [UInt8], status: String)
}

@main struct Fleet {
    static let atOnce = 10

    static func main() {
        let words = arguments(4...1003, usage: "Fleet ssh|libssh2 SECONDS COMMAND [USER@]HOST[:PORT]...")
        let limit = Duration.seconds(number(words[1], "SECONDS", in: 1...3600))
        let hosts = words.dropFirst(3).map { word in
            guard let host = Host(word) else {
                end(EX_USAGE, "\(word.debugDescription) is no host: expected [USER@]HOST[:PORT]")
            }
            return host
        }
        let runner: any Runner = orEnd {
            switch words[0] {
            case "ssh": return SSHProgram()
            case "libssh2": return try LibSSH2()
            default: end(EX_USAGE, "the way is \(words[0].debugDescription): expected ssh or libssh2")
            }
        }
        var failures = 0
        orEnd {
            try GreenPool(limit: atOnce).forEach(hosts) { host in
                do {
                    let (output, status) = try withTimeout(limit) { try runner.run(words[2], on: host) }
                    if status != "status 0" { failures += 1 }
                    say("\(host.name): \(status)")
                    for line in String(decoding: output, as: UTF8.self).split(separator: "\n") { say("    \(line)") }
                } catch {
                    failures += 1
                    say("\(host.name): failed: \(error)")
                }
            }
        }
        say("\(hosts.count) hosts, \(failures) failures")
        exit(failures == 0 ? EX_OK : EX_UNAVAILABLE)
    }
}

/// As it was given: `[USER@]HOST[:PORT]`.
struct Host {
    let name: String
    let user: String
    let host: String
    let port: Int

    init?(_ name: String) {
        self.name = name
        let parts = name.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        user = parts.count == 2 ? String(parts[0]) : getenv("USER").map { String(cString: $0) } ?? "root"
        let place = parts[parts.count - 1].split(separator: ":", omittingEmptySubsequences: false)
        // A name that begins with - would be an option of ssh's.
        guard let host = place.first, !host.isEmpty, !host.hasPrefix("-"), !user.isEmpty, place.count < 3 else {
            return nil
        }
        guard let port = place.count == 2 ? Int(place[1]) : 22, 1...65535 ~= port else { return nil }
        (self.host, self.port) = (String(host), port)
    }
}

/// The files that both ways use.
enum KeyFiles {
    static let user = file("FLEET_KEY", "id_ed25519")
    static let knownHosts = file("FLEET_KNOWN_HOSTS", "known_hosts")

    private static func file(_ variable: String, _ name: String) -> String {
        getenv(variable).map { String(cString: $0) }
            ?? "\(getenv("HOME").map { String(cString: $0) } ?? "")/.ssh/\(name)"
    }
}

/// By the program `ssh`.
struct SSHProgram: Runner {
    func run(_ command: String, on host: Host) throws -> (output: [UInt8], status: String) {
        let options = [
            "BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=\(KeyFiles.knownHosts)", "LogLevel=ERROR",
        ]
        let words = options.flatMap { ["-o", $0] } + ["-i", KeyFiles.user, "-p", "\(host.port)", "-l", host.user]
        // A time limit ends the child.
        let result = try ChildProcess.run("ssh", words + [host.host, command])
        return (result.output + result.errorOutput, "\(result.exit)")
    }
}
