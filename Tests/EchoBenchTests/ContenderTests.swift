import Testing

@testable import EchoBench

struct ContenderTests {
    private func contenders(before: String?) -> [ModelContender] {
        ModelContender.all(server: "new", before: before, pool: 3)
    }

    @Test func `without another build, only this one is measured`() {
        #expect(contenders(before: nil).allSatisfy { !$0.isBefore })
        #expect(contenders(before: nil).count == 11)
    }

    @Test func `another build has the same options, and stands behind this one`() throws {
        let all = contenders(before: "old")
        let place = try #require(all.firstIndex { $0.name == "thread pool" })
        #expect(all[place + 1].name == "thread pool before" && all[place + 1].family == "thread pool")
        #expect(all[place].start.words.dropFirst() == all[place + 1].start.words.dropFirst())
        #expect(all[place].start.words[0] == "new" && all[place + 1].start.words[0] == "old")
        #expect(all[place + 1].places == 3)
    }

    @Test func `with records, the same build without them stands behind`() throws {
        let all = ModelContender.all(server: "new", before: nil, record: "/tmp/r", pool: 3)
        let place = try #require(all.firstIndex { $0.name == "green" })
        #expect(all[place].start.words == ["new", "--record", "/tmp/r", "--port", "0"])
        #expect(all[place + 1].name == "green before" && all[place + 1].start.words == ["new", "--port", "0"])
    }

    @Test func `of two builds, another one is first in each round`() throws {
        let all = contenders(before: "old")
        let (odd, even) = (ModelContender.order(all, in: 1), ModelContender.order(all, in: 2))
        for name in ["green", "process pool"] {
            let (this, before) = (name, ModelContender.before(name))
            let order = [odd, even].map { $0.map(\.name).filter { $0 == this || $0 == before } }
            #expect(order == [[this, before], [before, this]])
        }
        #expect(Set(odd.map(\.name)) == Set(even.map(\.name)))
    }

    @Test func `the floors are always measured`() {
        #expect(contenders(before: nil).filter(\.isFloor).map(\.name) == ["C epoll", "C epoll again"])
    }

    @Test func `a rate is worse when it is lower, a cost when it is higher`() {
        #expect(BuildComparison.isWorse(0.97, true) && !BuildComparison.isWorse(1.03, true))
        #expect(BuildComparison.isWorse(1.03, false) && !BuildComparison.isWorse(0.97, false))
        #expect(!BuildComparison.isWorse(1.019, false) && !BuildComparison.isWorse(0.981, true))
    }
}
