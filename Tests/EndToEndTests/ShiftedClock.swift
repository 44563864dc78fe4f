import Glibc
import GreenNet
import TestSupport

/// The wall clock of the programs that are started with it: a day ahead of the system's, and set by tests at any time.
///
/// The programs preload it as a library, Tests/Shims/clock.c, which reads from a file that is mapped here too.
final class ShiftedClock: @unchecked Sendable {
    // Unchecked: the pointer is to a word of memory that another process reads.
    private let shift: UnsafeMutablePointer<Int64>
    private let file: String
    private let library: String

    /// A sanitizer must be the first library itself.
    static let isUsable = Sanitizer.active == .none && compiler != nil

    /// The seconds by which the clock is ahead at first.
    static let day = 86_400

    fileprivate init(in directory: String) throws {
        (file, library) = ("\(directory)/shift", "\(directory)/clock.so")
        let built = try Program.run(
            Program.Launch(
                "/usr/bin/env",
                [ShiftedClock.compiler!, "-shared", "-fPIC", "-O1", "-o", library, ShiftedClock.source]))
        if built.exit != .status(0) { throw Unexpected(built.error) }
        let descriptor = open(file, O_RDWR | O_CREAT, 0o600)
        defer { close(descriptor) }
        let size = MemoryLayout<Int64>.size
        guard ftruncate(descriptor, off_t(size)) == 0,
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED
        else { throw Unexpected("no memory to share in \(file)") }
        shift = memory.bindMemory(to: Int64.self, capacity: 1)
        set(hoursAhead: 0)
    }

    deinit { munmap(shift, MemoryLayout<Int64>.size) }

    /// Sets the clock `hours` ahead, in addition to the day.
    func set(hoursAhead hours: Int) { shift.pointee = Int64(ShiftedClock.day + hours * 3600) }

    /// Makes the program use this clock.
    func adjust(_ launch: inout Program.Launch) {
        launch.environment["LD_PRELOAD"] = library
        launch.environment["CLOCK_SHIFT"] = file
    }

    private static let source: String = {
        let folders = #filePath.split(separator: "/").dropLast(2)
        return "/\(folders.joined(separator: "/"))/Shims/clock.c"
    }()

    /// The toolchain's compiler, or the system's.
    private static let compiler = ["clang", "cc"].first { name in
        (try? Program.run(Program.Launch("/usr/bin/env", [name, "--version"])))?.exit == .status(0)
    }
}

func withShiftedClock<R>(_ body: (ShiftedClock) throws -> R) throws -> R {
    try withTemporaryDirectory { try body(ShiftedClock(in: $0)) }
}
