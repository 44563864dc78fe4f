import Testing

@testable import ProgramKit

@Suite struct ParserFailureTests {
    @Test func `an argument in a message is shown without control characters and line ends`() {
        let arguments = ["--port=7\n\u{1b}[31m", "plain", "\u{7}"]
        let complaint = "Error: The value '7\n\u{1b}[31m' is invalid\nUsage: x \u{7}\n"
        #expect(
            escapedComplaint(complaint, about: arguments)
                == #"Error: The value '7\n\u{1b}[31m' is invalid"# + "\nUsage: x " + #"\u{7}"# + "\n")
    }
}
