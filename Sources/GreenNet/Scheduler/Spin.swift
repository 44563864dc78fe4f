internal import CSwitch
import Glibc

/// Decides whether a hub that has nothing to do looks for jobs of other OS threads for some microseconds before it sleeps.
///
/// The kernel takes ten microseconds and more to put an OS thread to sleep and wake it: two that hand work to and fro would spend most of their time so.  A hub
/// spins only while one of its green threads waits for other OS threads, and after such a wait that was short.  After a spin in vain it sleeps at once for a
/// number of times, which doubles with each further one.  So a hub that idles, or that hears from others now and then, uses no processor time.
struct Spin {
    /// How many green threads wait for other OS threads.
    var waiters = 0
    /// Jobs have run since this was cleared.
    var jobsCame = false
    /// The last wait for them was short.
    private var isPromising = false
    /// How many times to sleep at once, and how many after the next spin in vain.
    private var rest = 0
    private var penalty = 1
    /// How many times in a row jobs were found without a look at the loop.
    private var found = 0

    /// How long a spin lasts at most: about what a sleep and a wake-up take.
    static let limit = Duration.microseconds(30)
    /// A wait was short where it took no longer, with the time to wake both OS threads.
    static let promise = Duration.microseconds(150)
    static let (mostPenalty, mostFound) = (256, 16)

    /// With one processor, the other OS thread could not go on.
    static let isPossible = LinuxCalls.processorCount > 1

    var isDue: Bool { isPromising && rest == 0 }

    /// After a spin.  Returns whether its jobs are to be run without a look at the loop, which has its turn now and then.
    mutating func ended(found isFound: Bool) -> Bool {
        guard isFound else {
            (rest, penalty, found) = (penalty, min(2 * penalty, Spin.mostPenalty), 0)
            return false
        }
        penalty = 1
        found = (found + 1) % Spin.mostFound
        return found != 0
    }

    /// After a sleep, perhaps with a spin before it.
    mutating func slept(for duration: Duration) {
        isPromising = jobsCame && duration < Spin.promise
        rest = max(0, rest - 1)
    }

    /// Looks until `isThere`, which makes no system call, is true, or `limit` has passed.  Returns whether it is.
    static func look(_ isThere: () -> Bool) -> Bool {
        let end = Deadline.after(limit)
        repeat {
            for _ in 0..<looksPerYield {
                if isThere() { return true }
                green_pause()
            }
            // Another OS thread may need this processor, that which is waited for even.
            sched_yield()
        } while !end.hasPassed
        return false
    }

    private static let looksPerYield = 64
}
