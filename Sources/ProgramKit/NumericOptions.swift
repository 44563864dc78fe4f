/// The numeric options of both programs and their ranges.  The man pages repeat the ranges, and a test compares them.
package enum NumericOptions {
    /// A hundred years: longer than any wait, and sums of such times still fit into 64 bits.
    private static let longest = Duration.seconds(3_153_600_000)
    /// Less than a tick of the kernel's coarse clock is no time to wait for.
    private static let shortest = Duration.milliseconds(1)

    private static func seconds(
        _ name: String, upTo most: Duration = longest, orZero: Bool = false
    ) -> NumericOption<Duration> {
        NumericOption(name, shortest...most, "seconds", orZero: orZero ? .zero : nil)
    }

    /// Of echo-server.
    package enum Server {
        package static let port = NumericOption("port", 0...65_535)
        package static let workers = NumericOption("workers", 1...1024)
        package static let processes = NumericOption("processes", 1...1024)
        package static let poolSize = NumericOption("pool-size", 1...1024)
        /// 0 stands for never.  Less is no time for a machine that is busy.
        package static let workerTimeout = NumericOption(
            "worker-timeout", Duration.seconds(1)...Duration.seconds(86_400), "seconds", orZero: .zero)
        /// More has no use, and would let a typing error take the machine's memory.
        package static let bufferSize = NumericOption("buffer-size", 1...16 << 20, "bytes")
        package static let backlog = NumericOption("backlog", 1...Int(Int32.max))
        package static let maxConnections = NumericOption("max-connections", 1...10_000_000)
        package static let maxConnectionsPerIP = NumericOption("max-connections-per-ip", 1...10_000_000)
        package static let ipv6Prefix = NumericOption("ipv6-prefix", 1...128, "bits")
        /// The two numbers of `--new-per-address`.
        package static let newPerAddress = NumericOption("new-per-address", 1...1_000_000)
        package static let newPerAddressTime = seconds("new-per-address", upTo: .seconds(86_400))
        /// 0 stands for never.
        package static let idleTimeout = seconds("idle-timeout", orZero: true)
        package static let writeTimeout = seconds("write-timeout", orZero: true)
        package static let handshakeTimeout = seconds("handshake-timeout", orZero: true)
        package static let proxyTimeout = seconds("proxy-timeout", orZero: true)
        /// 0 stands for at once.
        package static let drainTimeout = seconds("drain-timeout", orZero: true)
        package static let lameDuck = seconds("lame-duck", orZero: true)

        /// Whole seconds, as the kernel takes them, and its ranges.
        package static let keepAliveIdle = NumericOption("keepalive", 1...32767, "seconds")
        package static let keepAliveCount = NumericOption("keepalive", 1...127)
        /// 0 stands for the kernel's own.
        package static let tcpUserTimeout = seconds(
            "tcp-user-timeout", upTo: .milliseconds(Int64(Int32.max)), orZero: true)
        package static let dscp = NumericOption("dscp", 0...63)
        /// 0 stands for no deferral.
        package static let deferAccept = NumericOption("defer-accept", 1...32767, "seconds", orZero: 0)
        /// 0 stands for none.
        package static let fastOpen = NumericOption("fast-open", 1...65535, orZero: 0)

        /// Of faults on purpose: each of their times, and each probability.
        package static let faultDelay = seconds("delay", upTo: .seconds(86_400), orZero: true)
        package static let faultProbability = NumericOption("corrupt", 0.0...1.0)
        package static let faultPercent = NumericOption("fault", 0.0...100.0)
        /// Datagrams a second.
        package static let udpRate = NumericOption("udp-rate", 1...10_000_000)
        package static let faultSeed = NumericOption("fault-seed", 0...Int.max)

        /// Hubs of all processes together: workers times processes.
        package static let mostHubs = 4096
        /// Receive buffers of a pool together, in bytes.
        package static let mostPoolMemory = 4 << 30
    }

    /// Of echo-client: those that talk, ping and load have in common, and load's.
    package enum Client {
        package static let port = NumericOption("port", 1...65_535, isArgument: true)
        /// 0 stands for never.
        package static let idleTimeout = seconds("timeout", orZero: true)
        package static let timeout = seconds("timeout")

        package static let connections = NumericOption("connections", 1...1_000_000)
        package static let size = NumericOption("size", 1...1 << 30, "bytes")
        package static let depth = NumericOption("depth", 1...100_000)
        package static let duration = seconds("duration")
        package static let messages = NumericOption("messages", 1...1_000_000_000_000)
        package static let rate = NumericOption("rate", 0.01...10_000_000.0, "messages a second")
        /// 0 stands for at once.
        package static let ramp = seconds("ramp", upTo: .seconds(86_400), orZero: true)
        package static let threads = NumericOption("threads", 1...256)
        package static let processes = NumericOption("processes", 1...1024)

        /// Messages in flight, of all connections together: the client keeps eight bytes for each.
        package static let mostInFlight = 10_000_000
        /// Their bytes together: the systems of both sides, and the service, have to keep them.
        package static let mostBytesInFlight = 64 << 30
        /// OS threads of all processes together.
        package static let mostThreads = 4096
    }

    /// Of `echo-client compare`, where they are not load's.
    package enum Compare {
        package static let connections = NumericOption("connections", 1...100_000)
        package static let rounds = NumericOption("rounds", 1...1000)
        package static let duration = seconds("duration", upTo: .seconds(3600))
        package static let poolSize = Server.poolSize
        package static let workers = Server.workers
    }

    /// Of `echo-client workload`.
    package enum Workload {
        /// `workload` makes this many processes, and OS threads, at once.
        package static let tasks = NumericOption("tasks", 1...1000)
        package static let length = seconds("length", upTo: .seconds(60))
        package static let rounds = NumericOption("rounds", 1...100)
    }
}
