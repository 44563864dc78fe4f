import TestSupport
import Testing

@testable import GreenNet

struct DumpTests {
    @Test func `a hub describes each of its green threads, the oldest first`() throws {
        try onHub {
            let sleeper = spawn(name: "sleeper") { try Greenlet.sleep(for: .seconds(60)) }
            let joiner = spawn { try sleeper.join() }
            let runner = spawn(name: "runner") { try Hub.current.run() }
            let ready = spawn(name: "ready") { while true { try Greenlet.yield() } }
            try Greenlet.yield()
            let newcomer = spawn(name: "newcomer") {}
            #expect(
                Hub.current.description == """
                      green thread 1 (main): running
                      green thread 2 (sleeper): waits for its time to sleep to be over
                      green thread 3: waits for the end of green thread 2
                      green thread 4 (runner): waits for the end of all green threads
                      green thread 5 (ready): ready
                      green thread 6 (newcomer): not begun
                    """)
            for greenlet in [sleeper, joiner, runner, ready, newcomer] as [AnyGreenlet] { greenlet.kill() }
            try Hub.current.run()
            #expect(Hub.current.description == "  green thread 1 (main): running")
        }
    }

    @Test func `whoever asks is the one that runs`() throws {
        try onHub {
            let dump = try spawn(name: "asks") { Hub.current.description }.value()
            #expect(
                dump == """
                      green thread 1 (main): waits for the end of green thread 2
                      green thread 2 (asks): running
                    """)
        }
    }

    @Test func `those who have ended are gone from the description`() throws {
        try onHub {
            let greenlets = (0..<5).map { number in spawn(name: "\(number)") { try Greenlet.sleep(until: .never) } }
            try Greenlet.yield()
            // The first, the last, one between.
            for index in [0, 4, 2] {
                greenlets[index].kill()
                try greenlets[index].join()
                #expect(!Hub.current.description.contains("(\(index))"))
            }
            #expect(Hub.current.description.split(separator: "\n").count == 3)
            greenlets[1].kill()
            greenlets[3].kill()
        }
    }
}
