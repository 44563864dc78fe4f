/// Where server and generator run: on one CPU, or on one each.
struct PeerPlaces {
    let shared: Harness
    let apart: Harness
    let policy: Policy

    init(_ options: PlacementOptions, otherCPU: Int) {
        policy = options.permittedPolicy()
        let own = Placement(cpu: options.cpu, policy: policy)
        let group = ControlGroup(for: own)
        shared = Harness(server: own, generator: own, group: group)
        apart = Harness(server: own, generator: Placement(cpu: otherCPU, policy: policy), group: group)
    }
}

enum Arrangement: String, CaseIterable {
    case shared, apart

    var title: String {
        switch self {
        case .shared: "Server and generator on one CPU"
        case .apart: "A CPU each"
        }
    }
}
