import GreenNet
import TestSupport
import Testing

@testable import EchoServer

/// OS threads that accept by themselves, and the hub that waits for what they leave.
@Suite(.serialized) struct ThreadIntakeTests {
    /// What serves `places` clients at once.
    private struct Intake {
        let service: ThreadService
        let admission: SharedAdmission
        let clients: ThreadIntake
        let listener: Listener

        init(places: Int) throws {
            let live = try LiveSettings(Settings(), Configuration(try Options.parse([])))
            let counters = CounterRow(counters: try Counters(rows: 1), row: 0)
            admission = try SharedAdmission(places: places, most: places, perPeer: nil, rows: 1)
            service = ThreadService(
                ConnectionService(
                    live, ServerLog(level: .critical, LogSink(.text)), counters, ClientAdmission(admission, row: 0)))
            clients = ThreadIntake(service)
            listener = try Listener(on: .loopback(port: 0))
        }
    }

    @Test func `an OS thread that finds no client tells the hub that its place is free again`() throws {
        try onHub {
            let intake = try Intake(places: 1)
            let pool = try ThreadPool(.sized(PoolSize(1)), clients: intake.clients)
            let lent = intake.clients.add(intake.listener.listeningSocket, in: pool.listeners)
            try lent.lend()
            let told = Guarded(0)
            intake.clients.onEnd { told.withLock { $0 += 1 } }
            for (waits, expected) in [(false, 0), (true, 1)] {
                intake.clients.setHubWaits(waits)
                // As an OS thread does that was woken for a client, which another one has taken.
                intake.clients.serveClients(at: lent.number, by: PoolThread(), of: pool)
                #expect(told.withLock { $0 } == expected)
                #expect(intake.clients.hasPlace)
            }
            pool.end()
            intake.clients.remove(lent)
            intake.listener.close()
        }
    }
}
