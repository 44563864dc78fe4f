internal import CDiagnostics

/// An OS thread with a hub, which can be looked at from others, while it lives.
struct LookTarget: @unchecked Sendable {  // never changes
    private var target = green_look_target()

    /// The one that calls.
    init() { green_look_prepare(&target) }

    /// What changes when it goes on.
    struct Activity: Hashable {
        /// Else it sleeps in a call.
        let runs: Bool
        /// How many times it has begun to.
        let sleeps: UInt64
        /// Of the green thread that runs.
        let greenThread: UInt64
    }

    /// Nil where the kernel doesn't say.
    var activity: Activity? {
        var (target, activity) = (target, green_activity())
        guard green_look_activity(&target, &activity) != 0 else { return nil }
        return Activity(runs: activity.runs != 0, sleeps: activity.sleeps, greenThread: activity.id)
    }

    /// A green thread, and its frames at that moment, innermost first.
    struct Look {
        let greenThread: String
        let frames: [UnsafeMutableRawPointer]
        /// Where it sleeps until another OS thread, or green thread, wakes it; 0: nowhere.
        fileprivate let futex: UInt64

        fileprivate init(_ look: green_look) {
            let name = withUnsafeBytes(of: look.name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            greenThread = "green thread \(look.id)" + (name.isEmpty ? "" : " (\(name))")
            frames = withUnsafeBytes(of: look.frames) { bytes in
                bytes.bindMemory(to: UnsafeMutableRawPointer?.self).prefix(Int(look.count)).compactMap { $0 }
            }
            futex = look.futex
        }
    }

    /// What the green thread does that runs.  Nil where nothing is known of it.
    func look() -> Look? {
        var (target, look) = (target, green_look())
        return green_look_take(&target, &look) != 0 ? Look(look) : nil
    }

    /// The green threads that are suspended, while one blocks the OS thread, at most `limit`; where `frame`, a return address, is not nil, only green
    /// threads inside the function that it lies in.
    func suspended(inside frame: UnsafeMutableRawPointer? = nil, limit: Int) -> [Look] {
        var target = target
        var looks = [green_look](repeating: green_look(), count: limit)
        let count = green_look_suspended(&target, frame, &looks, Int32(limit))
        return looks[..<Int(count)].map { Look($0) }
    }

    /// Whether `look` waits for a mutex that its own OS thread has.
    func waitsForItself(_ look: Look) -> Bool {
        var target = target
        return green_look_owns(&target, look.futex) != 0
    }
}
