import Glibc
import GreenNet
import Testing

@testable import EchoServer

@Suite struct StopSequenceTests {
    private let all = [StopSequence.hubProcesses, StopSequence.poolProcesses].map { $0(.seconds(10)) }

    @Test func `workers first drain for as long as the clients may take, then finish, then are killed`() {
        for sequence in all {
            #expect(sequence.steps.map(\.action) == [.drain, .finish, .kill])
            #expect(sequence.steps[0].time == .seconds(10))
            #expect(sequence.steps.map(\.signal)[0] == SIGTERM)
            #expect(sequence.steps.map(\.signal)[2] == SIGKILL)
        }
    }

    /// An earlier step without a time limit would hold up the rest.
    @Test func `only the last step takes as long as it takes`() {
        for sequence in all { #expect(sequence.steps.map { $0.time == nil } == [false, false, true]) }
    }

    @Test func `the service manager is asked for as much time as the steps take`() {
        for sequence in all {
            let time = sequence.steps.reduce(Duration.zero) { $0 + ($1.time ?? .zero) }
            #expect(StopSequence.longest(drainTimeout: .seconds(10)) > time)
        }
    }

    @Test func `a parent kills a child that finishes before the child ends itself`() throws {
        let time = try #require(all[1].steps[1].time)
        #expect(.seconds(Int(StopSequence.secondsUntilChildEndsItself)) > time)
    }
}
