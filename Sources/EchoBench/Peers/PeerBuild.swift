/// Programs in other languages, which `Benchmarks/peers/build.sh` builds.
enum PeerBuild {
    /// Builds `peer`, and returns the command that runs it.  Throws `BenchFailure` that says why it can't be built.
    static func words(of peer: String) throws -> [String] { try Tool.run(["Benchmarks/peers/build.sh", peer]).words }
}
