import GreenNet

/// The pages of the admin interface.
struct AdminPages {
    let serviceState: ServiceState
    let shared: SharedState
    let metrics: Metrics

    /// OPTIONS gets the status of GET where that is not 200: by default HAProxy's checks use OPTIONS, and look at the status only.
    func response(to request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
        if request.path == "*" { return .options }
        let page = try page(at: request.path)
        return request.method == .options && page.status == .ok ? .options : page
    }

    private func page(at path: String) throws(HTTPFailure) -> HTTPResponse {
        switch path {
        case "/": HTTPResponse(.ok, AdminPage.html, .html)
        case "/metrics": HTTPResponse(.ok, metrics.text, .metrics)
        case "/healthz": health
        case "/readyz": readiness
        case "/threads": HTTPResponse(.ok, serviceState.greenThreads())
        default: throw .notFound
        }
    }

    /// Whether all hubs turn.  The hub that answers does.
    private var health: HTTPResponse { stuckHubs ?? HTTPResponse(.ok, "ok\n") }

    private var stuckHubs: HTTPResponse? {
        let stuck = shared.gauges?.stuckHubs() ?? []
        if stuck.isEmpty { return nil }
        return HTTPResponse(.unavailable, stuck.map { "hub \($0.hub) has been stuck for \($0.time.text)\n" }.joined())
    }

    private var readiness: HTTPResponse {
        switch serviceState.stage {
        case .starting: HTTPResponse(.unavailable, "starting\n")
        // The clients of a stuck hub would get no answer.
        case .accepting: stuckHubs ?? HTTPResponse(.ok, "ready\n")
        case .lameDuck, .stopping: HTTPResponse(.unavailable, "stopping\n")
        }
    }
}
