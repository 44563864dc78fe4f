import GreenNet
import Testing

@testable import EchoServer

/// The tests need no clock: each check gets the time as a parameter.
@Suite struct WorkerWatchTests {
    /// Two workers of two hubs, a lock, and successive checks.
    private final class Scene {
        let gauges: HubGauges
        private var watch: WorkerWatch
        private var now: Deadline
        private let interval: Duration
        var holder: WorkerLock.Holder?

        private final class Box { weak var scene: Scene? }

        init(timeout: Duration = .seconds(4)) throws {
            let box = Box()
            gauges = try HubGauges(hubs: 4)
            interval = min(timeout / 4, .seconds(1))
            watch = WorkerWatch(timeout: timeout, hubsOfWorker: 2, gauges) { box.scene?.holder }
            now = watch.nextLook
            box.scene = self
        }

        /// One check after a pause of any length, for which all hubs but `silent` have been measured.
        func look(silent: Set<Int> = [], after pause: Duration? = nil) -> [Int] {
            now = now + (pause ?? interval)
            for hub in 0..<4 where !silent.contains(hub) { gauges.begin(hub: hub) }
            return watch.look(at: now, slotOfProcess: { [100: 0, 101: 1][$0] }).map(\.slot)
        }

        func looks(_ count: Int, silent: Set<Int> = []) -> [[Int]] { (0..<count).map { _ in look(silent: silent) } }

        func began(_ slot: Int) { watch.began(slot) }
    }

    @Test func `a worker with a hub that does not turn for the timeout is reported, and again after another timeout`()
        throws
    {
        let scene = try Scene()
        #expect(scene.looks(10) == Array(repeating: [], count: 10))
        #expect(scene.looks(9, silent: [3]) == [[], [], [], [1], [], [], [], [1], []])
        #expect(scene.looks(3) == [[], [], []])
    }

    @Test func `two stuck workers are both reported`() throws {
        let scene = try Scene()
        _ = scene.look()
        #expect(scene.looks(4, silent: [0, 1, 2, 3]) == [[], [], [], [0, 1]])
    }

    @Test func `a hub that turns now and then is not stuck`() throws {
        let scene = try Scene()
        _ = scene.look()
        for _ in 0..<5 {
            #expect(scene.looks(3, silent: [0]) == [[], [], []])
            #expect(scene.look() == [])
        }
    }

    /// The supervisor was stopped together with its workers, or the machine was.
    @Test func `a pause of the supervisor counts as one look`() throws {
        let scene = try Scene()
        _ = scene.look()
        #expect(scene.look(silent: [0, 1, 2, 3], after: .seconds(3600)) == [])
        #expect(scene.look() == [])
        #expect(scene.looks(3, silent: [0]) == [[], [], []])
    }

    @Test func `a hub that has ended is not stuck, and a worker that begins has the whole timeout`() throws {
        let scene = try Scene()
        _ = scene.look()
        scene.gauges.end(hub: 0)
        #expect(scene.looks(8, silent: [0]) == Array(repeating: [], count: 8))
        #expect(scene.looks(3, silent: [0, 2]) == [[], [], []])
        scene.began(1)
        #expect(scene.looks(5, silent: [0, 2]) == [[], [], [], [], [1]])
    }

    /// Workers that wait for the lock do not turn either.
    @Test func `of all workers that do not turn, the holder of the lock is reported`() throws {
        let scene = try Scene()
        _ = scene.look()
        scene.holder = .init(process: 101, acquisition: 5)
        #expect(scene.looks(5, silent: [0, 1, 2, 3]) == [[], [], [], [], [1]])
        scene.holder = nil
        #expect(scene.looks(5) == Array(repeating: [], count: 5))
    }

    @Test func `if the holder of the lock is unknown, all workers that do not turn are reported`() throws {
        let scene = try Scene()
        _ = scene.look()
        scene.holder = .init(process: 999, acquisition: 5)
        #expect(scene.looks(4, silent: [0, 1, 2, 3]) == [[], [], [], [0, 1]])
    }

    @Test func `a lock that changes hands is in use`() throws {
        let scene = try Scene()
        for number in 0..<20 {
            scene.holder = .init(process: 101, acquisition: UInt64(number))
            #expect(scene.look() == [])
        }
    }

    @Test func `workers without hubs are reported for the lock alone`() throws {
        var watch = WorkerWatch(timeout: .seconds(1)) { WorkerLock.Holder(process: 100, acquisition: 1) }
        var now = watch.nextLook
        var told: [Int] = []
        for _ in 0..<5 {
            told += watch.look(at: now, slotOfProcess: { $0 == 100 ? 3 : nil }).map(\.slot)
            now = now + .milliseconds(250)
        }
        #expect(told == [3])
    }
}
