// swift-tools-version: 6.2

import PackageDescription

// Tests of green threads together with packages that many async programs use.  A package of its own, so that GreenNet resolves none of them.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let greenNet = Target.Dependency.product(name: "GreenNet", package: "GreenNet")

let package = Package(
    name: "WithPackages",
    dependencies: [
        .package(name: "GreenNet", path: "../..", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-async-algorithms", from: "1.1.4"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    ],
    targets: [
        .target(name: "HubSupport", dependencies: [greenNet], swiftSettings: strict),
        .testTarget(
            name: "TracingTests",
            dependencies: [
                greenNet, "HubSupport",
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ], swiftSettings: strict),
        .testTarget(
            name: "ClientTests",
            dependencies: [
                greenNet, "HubSupport",
                .product(name: "AsyncAlgorithms", package: "swift-async-algorithms"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], swiftSettings: strict),
    ])
