import GreenNet

extension ModelKind {
    /// A green thread for each connection, on the hub that accepts.  GreenNet has the model itself.
    static let green = ModelKind(
        "green", "a green thread", options: [.workers, .processes], servesOnHub: true,
        arrangement: { settings in
            guard let processes = settings.processes else { return .hubs(settings.workers) }
            return .hubProcesses(processes, hubsEach: settings.workers)
        },
        make: { service, _ in
            let handler = KeptHandler(service)
            return GreenModel(
                handler: { try handler.serve($0) }, onFailure: { service.log.connectionFailed($1) })
        })
}
