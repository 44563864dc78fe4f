// swift-tools-version: 6.2

import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

// The packages that the programs use.  A package that depends on the library says `traits: []`, and SwiftPM resolves none of them for it.
let forPrograms = TargetDependencyCondition.when(traits: ["Programs"])
let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser", condition: forPrograms)
let logging = Target.Dependency.product(name: "Logging", package: "swift-log", condition: forPrograms)
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift", condition: forPrograms)

let package = Package(
    name: "GreenNet",
    products: [
        .library(name: "GreenNet", targets: ["GreenNet"]),
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
        .target(name: "CUppercase"),
        .target(name: "CArguments"),
        .target(
            name: "ProgramKit",
            dependencies: ["CArguments", "GreenNet", argumentParser],
            swiftSettings: strict),
        .executableTarget(
            name: "EchoServer",
            dependencies: ["CUppercase", "GreenNet", "ProgramKit", argumentParser, logging],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "EchoClient",
            dependencies: ["GreenNet", "ProgramKit", argumentParser, histogram],
            swiftSettings: strict
        ),
        .target(name: "TestSupport", dependencies: ["GreenNet"], path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(name: "GreenNetTests", dependencies: ["GreenNet", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "ProgramKitTests", dependencies: ["ProgramKit"], swiftSettings: strict),
        .testTarget(
            name: "EchoServerTests", dependencies: ["EchoServer", "ProgramKit", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "EchoClientTests", dependencies: ["EchoClient", "GreenNet", "ProgramKit"], swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests",
            dependencies: ["EchoServer", "EchoClient", "GreenNet", "TestSupport"],
            swiftSettings: strict
        ),
    ]
)

// Small programs to read first; their tests run them.  Nobody who depends on the package builds them.
let examples = [
    "ChatServer", "PortForwarder", "ImageDownloads", "ProducersAndConsumers", "PingPong", "GeneratorPipeline",
]
package.targets += examples.map { name in
    .executableTarget(name: name, dependencies: ["GreenNet"], path: "Examples/\(name)", swiftSettings: strict)
}
// What `make bench-million` runs.  As with all executables that are no products, nobody who depends on the package builds it; here all are
// built with the tests, so that no change breaks them unseen.
package.targets.append(
    .executableTarget(
        name: "ParkedThreads", dependencies: ["GreenNet"], path: "Benchmarks/ParkedThreads", swiftSettings: strict))
package.targets.append(
    .testTarget(
        name: "ExamplesTests", dependencies: ["GreenNet", "TestSupport"] + examples.map { .byName(name: $0) },
        swiftSettings: strict))

// Makes every mistake that stops a program: in the tests as they are built, in `Scripts/check-mistakes.sh` as programs are installed.
package.targets.append(
    .executableTarget(name: "Mistakes", dependencies: ["GreenNet"], path: "Tests/Mistakes", swiftSettings: strict))

// `make bench-micro`.  The server's Transform.swift is among its sources by a link: only there it is internal.
package.targets.append(
    .executableTarget(
        name: "MicroBenchmarks", dependencies: ["GreenNet", "CSwitch", "CUppercase"],
        path: "Benchmarks/micro/Sources", swiftSettings: strict))

// Preloaded by tests into the programs that they start.  It has to be a product: of a target that is none, SwiftPM makes object files and no
// library that could be loaded.  Nobody else has a use for it, and nobody who does not ask for it has it linked.
package.products.append(.library(name: "FaultShim", type: .dynamic, targets: ["CFaultShim"]))
package.targets.append(.target(name: "CFaultShim", path: "Tests/CFaultShim"))
