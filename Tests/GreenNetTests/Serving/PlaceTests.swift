import Testing

@testable import GreenNet

struct PlaceTests {
    private let peer = SocketAddress.loopback(port: 4242)

    @Test func `the end of a place gives it back`() {
        let admission = CountingAdmission(places: 1)
        do {
            let place = Place(in: admission)
            #expect(admission.taken == 1)
            if Place(in: admission) != nil { Issue.record("there was only one place") }
            _ = consume place
        }
        #expect(admission.taken == 0)
    }

    @Test func `a place that was kept stays taken until the connection ends`() throws {
        let admission = CountingAdmission(places: 1)
        if var place = Place(in: admission) {
            let isAdmitted = place.admit(peer)
            #expect(isAdmitted)
            place.keep()
        }
        #expect(admission.taken == 1)
        #expect(admission.peers == [peer])
        Place(keptFor: peer, in: admission).giveBack()
        #expect(admission.taken == 0)
        #expect(admission.peers == [])
    }

    @Test func `a peer that is not admitted is not counted out either`() {
        let admission = CountingAdmission(places: 1, admits: false)
        if var place = Place(in: admission) {
            let isAdmitted = place.admit(peer)
            #expect(!isAdmitted)
        }
        #expect(admission.taken == 0)
        #expect(admission.peers == [])
    }

    @Test func `a place whose connection gets no context is given back with its peer`() {
        let admission = CountingAdmission(places: 1)
        if var place = Place(in: admission) {
            let isAdmitted = place.admit(peer)
            #expect(isAdmitted)
            #expect(admission.peers == [peer])
        }
        #expect(admission.taken == 0)
        #expect(admission.peers == [])
    }
}

private final class CountingAdmission: Admission {
    private let places: Int
    private let admits: Bool
    private(set) var taken = 0
    private(set) var peers: [SocketAddress] = []

    init(places: Int, admits: Bool = true) { (self.places, self.admits) = (places, admits) }

    func reserve() -> Bool {
        guard taken < places else { return false }
        taken += 1
        return true
    }

    func release() { taken -= 1 }

    func admit(_ peer: SocketAddress) -> Bool {
        if admits { peers.append(peer) }
        return admits
    }

    func leave(_ peer: SocketAddress) { peers.removeAll { $0 == peer } }
    var lookInterval: Duration? { nil }
}
