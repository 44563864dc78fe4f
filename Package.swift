// swift-tools-version: 6.2

import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

// The packages that only the programs use.  A package that depends on the library passes `traits: []`; SwiftPM then resolves none of them.
let forPrograms = TargetDependencyCondition.when(traits: ["Programs"])
let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser", condition: forPrograms)
let logging = Target.Dependency.product(name: "Logging", package: "swift-log", condition: forPrograms)
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift", condition: forPrograms)

let package = Package(
    name: "GreenNet",
    products: [
        .library(name: "GreenNet", targets: ["GreenNet"]),
        .library(name: "GreenPatch", targets: ["GreenPatch"]),
        .library(name: "GreenTLS", targets: ["GreenTLS"]),
        .executable(name: "echo-server", targets: ["EchoServer"]),
        .executable(name: "echo-client", targets: ["EchoClient"]),
    ],
    traits: [
        .default(enabledTraits: ["Programs"]),
        .trait(name: "Programs", description: "echo-server and echo-client, and the packages that only they use."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .systemLibrary(name: "CLibev", providers: [.apt(["libev-dev"])]),
        .target(name: "CSwitch"),
        .target(name: "CDiagnostics", dependencies: ["CSwitch"]),
        .target(name: "CLinux"),
        .target(
            name: "GreenNet", dependencies: ["CSwitch", "CDiagnostics", "CLinux", "CLibev"], swiftSettings: strict),
        .target(name: "CGreenPatch", dependencies: ["CSwitch"]),
        .target(name: "GreenPatch", dependencies: ["CGreenPatch", "GreenNet"], swiftSettings: strict),
        // Needs the headers of libssl-dev; libssl.so.3 is loaded when TLS is used first, so nothing is linked with it.
        .target(name: "COpenSSL"),
        .target(name: "GreenTLS", dependencies: ["COpenSSL", "GreenNet"], swiftSettings: strict),
        .target(name: "CUppercase"),
        .target(name: "CForkServer"),
        .target(name: "CArguments"),
        .target(
            name: "ProgramKit",
            dependencies: ["CArguments", "GreenNet", argumentParser],
            swiftSettings: strict),
        .executableTarget(
            name: "EchoServer",
            dependencies: ["CForkServer", "CUppercase", "GreenNet", "GreenTLS", "ProgramKit", argumentParser, logging],
            swiftSettings: strict
        ),
        // Not a product: it is of use beside an installed echo-server only.  A symbolic link makes the server's Letters.swift one of its sources.
        .executableTarget(
            name: "EchoForkServer", dependencies: ["CForkServer", "CUppercase"], swiftSettings: strict),
        .executableTarget(
            name: "EchoClient",
            dependencies: ["GreenNet", "GreenTLS", "ProgramKit", argumentParser, histogram],
            swiftSettings: strict
        ),
        .target(
            name: "TestSupport", dependencies: ["GreenNet", "ProgramKit"], path: "Tests/TestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "GreenNetTests", dependencies: ["GreenNet", "ProgramKit", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "GreenTLSTests", dependencies: ["GreenTLS", "GreenNet", "ProgramKit", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "ProgramKitTests", dependencies: ["ProgramKit", "GreenNet", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "EchoServerTests", dependencies: ["CForkServer", "EchoServer", "ProgramKit", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "EchoClientTests", dependencies: ["EchoClient", "GreenNet", "ProgramKit"], swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "EchoServer", "EchoForkServer", "EchoClient", "GreenNet", "GreenTLS", "ProgramKit", "TestSupport",
            ],
            swiftSettings: strict
        ),
    ]
)

// Small programs to read first; tests run them.  A package that depends on this one does not build them, since they are not products.
let examples = [
    "ProducersAndConsumers", "PingPong", "GeneratorPipeline",
]
package.targets += examples.map { name in
    .executableTarget(name: name, dependencies: ["GreenNet"], path: "Examples/\(name)", swiftSettings: strict)
}
// The programs of a course on concurrency, which share a few lines.
let course = [
    "UppercaseServer", "SayHello", "FirstAnswers", "Deadlock", "HideAndSeek", "TrafficLights", "StartupGate",
    "RunningAverage", "Squares", "Tickets", "RPC", "LazyConnection", "ThreeStages", "ChatServer", "HTTPServer",
    "PortForwarder", "SOCKSProxy", "RedisClient",
]
package.targets.append(
    .target(name: "CourseKit", dependencies: ["GreenNet"], path: "Examples/CourseKit", swiftSettings: strict))
package.targets += course.map { name in
    .executableTarget(
        name: name, dependencies: ["CourseKit", "GreenNet"], path: "Examples/\(name)", swiftSettings: strict)
}
// Those that call C libraries, which they load when they run.  A symbolic link makes the Redis.swift of RedisClient one of TaskIntake's sources.
let onLibraries = ["TaskIntake", "Fleet", "Crawler", "ImageDownloads"]
package.targets += [
    .target(name: "CCurl", path: "Examples/CCurl"),
    .target(
        name: "CourseWeb", dependencies: ["CCurl", "GreenNet", "GreenPatch"], path: "Examples/CourseWeb",
        swiftSettings: strict),
]
package.targets += onLibraries.map { name in
    .executableTarget(
        name: name, dependencies: ["CourseKit", "CourseWeb", "GreenNet", "GreenPatch"], path: "Examples/\(name)",
        swiftSettings: strict)
}
// `make bench-million` runs it.  It is not a product, so a package that depends on this one does not build it; here it is built with the tests, which
// shows when a change breaks it.
package.targets.append(
    .executableTarget(
        name: "ParkedThreads", dependencies: ["GreenNet"], path: "Benchmarks/ParkedThreads", swiftSettings: strict))
// `make bench-udp` runs it.
package.targets.append(
    .executableTarget(
        name: "DatagramEcho", dependencies: ["GreenNet"], path: "Benchmarks/DatagramEcho", swiftSettings: strict))
// `make bench-redis` runs it.  A symbolic link makes the example's Redis.swift one of its sources.
package.targets.append(
    .executableTarget(
        name: "RedisBenchmark", dependencies: ["GreenNet"], path: "Benchmarks/Redis", swiftSettings: strict))
// `make bench-stacks` runs it: how much of a stack common calls take.  It uses Foundation, as programs around the library may.
package.targets.append(
    .executableTarget(
        name: "StackDepth", dependencies: ["GreenNet"], path: "Benchmarks/StackDepth", swiftSettings: strict))
// Not on those that call C libraries: SwiftPM links a test with the programs that it depends on, and GreenPatch must not be in the test program.
package.targets.append(
    .testTarget(
        name: "ExamplesTests",
        dependencies: ["GreenNet", "TestSupport"] + (examples + course).map { .byName(name: $0) },
        swiftSettings: strict))

// Makes each programming error that stops a program.  The tests run it as they are built, `Scripts/check-mistakes.sh` as installed programs are built.
package.targets.append(
    .executableTarget(
        name: "Mistakes", dependencies: ["GreenNet", "GreenPatch"], path: "Tests/Mistakes", swiftSettings: strict))

// A program that GreenPatch is linked into, with its tests.  The test program itself must not have it: the tests of GreenNet define some of the same calls.
package.targets += [
    .target(name: "CPatchProbes", path: "Tests/CPatchProbes"),
    .executableTarget(
        name: "PatchedProgram", dependencies: ["CPatchProbes", "CLibraries", "GreenPatch", "GreenNet"],
        path: "Tests/PatchedProgram", swiftSettings: strict),
    .target(name: "CLibraries", path: "Tests/CLibraries"),
    .testTarget(
        name: "LibraryTests", dependencies: ["GreenNet", "ProgramKit", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "GreenPatchTests", dependencies: ["TestSupport"], swiftSettings: strict),
]
// Programs of which each needs a process of its own, since what they do to Swift's executors and OS threads holds for a whole process: `AsyncPrograms NAME`
// runs one.  The tests start them.
package.targets.append(
    .executableTarget(
        name: "AsyncPrograms", dependencies: ["GreenNet"], path: "Tests/AsyncPrograms", swiftSettings: strict))
// Programs of several processes that share memory: `SharedPrograms NAME` runs one.  A process forks while it has one OS thread, so the tests can't.
package.targets.append(
    .executableTarget(
        name: "SharedPrograms", dependencies: ["GreenNet"], path: "Tests/SharedPrograms", swiftSettings: strict))

// `make bench-executor` runs it.
package.targets.append(
    .executableTarget(
        name: "ExecutorBenchmarks", dependencies: ["GreenNet"], path: "Benchmarks/Executor",
        exclude: ["channel.rs", "executor.py"], swiftSettings: strict))

// Programs that fork, which takes a process of one OS thread: `ProcessPrograms NAME` runs one.  The tests start them.
package.targets.append(
    .executableTarget(
        name: "ProcessPrograms", dependencies: ["GreenNet"], path: "Tests/ProcessPrograms", swiftSettings: strict))
// `make bench-processes` runs it.
package.targets.append(
    .executableTarget(
        name: "ProcessBenchmarks", dependencies: ["GreenNet"], path: "Benchmarks/Processes/Sources",
        swiftSettings: strict))

// `make bench-patch` runs it.
package.targets += [
    .target(name: "CPatchBenchmarks", path: "Benchmarks/Patch/C"),
    .executableTarget(
        name: "PatchBenchmarks", dependencies: ["CPatchBenchmarks", "CLibraries", "GreenPatch", "GreenNet"],
        path: "Benchmarks/Patch/Sources", swiftSettings: strict),
]

// `make bench-shared` runs it.
package.targets += [
    .target(name: "CSharedBenchmarks", path: "Benchmarks/Shared/C"),
    .executableTarget(
        name: "SharedBenchmarks", dependencies: ["CSharedBenchmarks", "GreenNet"], path: "Benchmarks/Shared/Sources",
        swiftSettings: strict),
]

// `make bench` and `make bench-*` run it: it measures the programs.
package.targets += [
    .executableTarget(
        name: "EchoBench", dependencies: ["GreenNet", "ProgramKit", argumentParser], swiftSettings: strict),
    .testTarget(name: "EchoBenchTests", dependencies: ["EchoBench"], swiftSettings: strict),
]

// `make bench-micro` runs it.  Symbolic links make the server's Transform.swift and Letters.swift, which are internal there, two of its sources.
package.targets.append(
    .executableTarget(
        name: "MicroBenchmarks", dependencies: ["GreenNet", "CSwitch", "CUppercase"],
        path: "Benchmarks/micro/Sources", swiftSettings: strict))

// The tests preload it into the programs that they start.  It has to be a product, since SwiftPM makes a shared library only of a product.
// A package that does not ask for it does not link it.
package.products.append(.library(name: "FaultShim", type: .dynamic, targets: ["CFaultShim"]))
package.targets.append(.target(name: "CFaultShim", path: "Tests/CFaultShim"))
