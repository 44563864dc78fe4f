import GreenNet

/// What there is to see.
struct AdminPages {
    let serviceState: ServiceState
    let shared: SharedState
    let metrics: Metrics

    /// OPTIONS is answered as GET is where something is wrong: HAProxy's checks ask so unless told otherwise, and look at the status only.
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

    /// Whether every hub turns.  The one that answers does.
    private var health: HTTPResponse { stuckHubs ?? HTTPResponse(.ok, "ok\n") }

    private var stuckHubs: HTTPResponse? {
        let stuck = shared.gauges?.stuckHubs() ?? []
        if stuck.isEmpty { return nil }
        return HTTPResponse(.unavailable, stuck.map { "hub \($0.hub) has not turned for \($0.time.text)\n" }.joined())
    }

    private var readiness: HTTPResponse {
        switch serviceState.stage {
        case .starting: HTTPResponse(.unavailable, "starting\n")
        // A part of those who connect would get no answer.
        case .accepting: stuckHubs ?? HTTPResponse(.ok, "ready\n")
        case .stopping: HTTPResponse(.unavailable, "stopping\n")
        }
    }
}
