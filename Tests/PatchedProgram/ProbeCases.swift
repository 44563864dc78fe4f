internal import CPatchProbes
import GreenNet

/// What each call of the C library promises, as `Tests/CPatchProbes` tries it.
let ofProbes =
    probes.filter { $0.pointee.needs_mutexes == 0 }.map { ofProbe($0, mutexes: false) }
    + probes.map { ofProbe($0, mutexes: true) }

private var probes: [UnsafePointer<probe>] {
    Array(sequence(first: 0) { $0 + 1 }.lazy.map { probe_at($0) }.prefix { $0 != nil }.map { $0! })
}

private func ofProbe(_ probe: UnsafePointer<probe>, mutexes: Bool) -> Case {
    // A constant of the program.
    nonisolated(unsafe) let probe = probe
    let name = String(cString: probe.pointee.name) + (mutexes ? ", with mutexes patched too" : "")
    return .patched(name, mutexes: mutexes) {
        setHub()
        let failure = try spawn { probe.pointee.run() }.value()
        expect(failure == nil, failure.map { String(cString: $0) } ?? "")
    }
}

/// The probes' green threads are those of the calling OS thread's hub.
private func setHub() {
    var hub = probe_hub(
        spawn: { body, context in
            let task = ProbeTask(body: body!, context: context)
            spawn { task.body(task.context) }
        },
        yield: { try? Greenlet.yield() })
    probe_set_hub(&hub)
}

private struct ProbeTask {
    let body: @convention(c) (UnsafeMutableRawPointer?) -> Void
    let context: UnsafeMutableRawPointer?
}
