import Testing

@testable import EchoServer

@Suite struct SharedWordsTests {
    @Test func `texts come back as they were written, with any bytes, and the last ones count`() throws {
        let shared = try SharedWords()
        #expect(shared.value.words.isEmpty && shared.value.version == 0)
        let texts = ["", "one", "two words\nand 3 lines\n", "\0", "ü"]
        for version in 1...3 {
            let words = texts.map { (name: "name", text: $0 + "\(version)") }
            #expect(try shared.write(words) == version)
            let (read, readVersion) = shared.value
            #expect(readVersion == version)
            #expect(read.map(\.text) == words.map(\.text) && read.allSatisfy { $0.name == "name" })
        }
    }

    @Test func `as much as fits is taken, and a byte more is an error that changes nothing`() throws {
        let shared = try SharedWords()
        // The head of the text, `x 4194293`, its line feed, and the end.
        let most = String(repeating: "a", count: SharedWords.most - 11)
        #expect(try shared.write([("x", most)]) == 1)
        #expect(shared.value.words.first?.text == most)
        #expect(throws: StartFailure.self) { try shared.write([("x", most + "a")]) }
        #expect(shared.value.version == 1 && shared.value.words.first?.text == most)
    }
}
