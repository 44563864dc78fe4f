/// What every hub and process of the service uses.
struct ServiceParts: Sendable {
    /// The settings as they are now; a reload changes some of them.
    let live: LiveSettings
    let shared: SharedState
    let log: ServerLog
}
