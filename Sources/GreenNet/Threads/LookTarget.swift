internal import CDiagnostics

/// An OS thread with a hub, whose state other OS threads can read while it lives.
struct LookTarget: @unchecked Sendable {  // never changes
    private var target = green_look_target()

    /// The calling OS thread.
    init() { green_look_prepare(&target) }

    /// Values that change when the OS thread goes on.
    struct Activity: Hashable {
        /// False while it blocks in a call.
        let runs: Bool
        /// How many times it has blocked.
        let sleeps: UInt64
        /// The id of the running green thread.
        let greenThread: UInt64
    }

    /// Nil where /proc can't be read.
    var activity: Activity? {
        var (target, activity) = (target, green_activity())
        guard green_look_activity(&target, &activity) != 0 else { return nil }
        return Activity(runs: activity.runs != 0, sleeps: activity.sleeps, greenThread: activity.id)
    }

    /// A green thread, and its frames at that moment, innermost first.
    struct Look {
        let greenThread: String
        let frames: [UnsafeMutableRawPointer]
        /// The futex on which it blocks; 0 for none.
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

    /// The running green thread.  Nil where its state can't be read.
    func look() -> Look? {
        var (target, look) = (target, green_look())
        return green_look_take(&target, &look) != 0 ? Look(look) : nil
    }

    /// The suspended green threads, at most `limit`, while another blocks the OS thread.  With `frame`, a return address, only the green threads that are
    /// inside the function it lies in.
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
