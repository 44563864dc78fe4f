import GreenNet

/// A `>>: ` whenever the service owes nothing, and what it answers: for people at a terminal, which gives what they type line by line.
struct Prompt {
    let connection: ServiceStream
    let idleLimit: Duration?

    private static let text = ">>: "

    func run() throws {
        var isMidLine = true
        try StandardStreams.write(Prompt.text)
        // What comes next, a complaint or the shell's own prompt, has a line of its own.
        defer { if isMidLine { try? StandardStreams.write("\n") } }
        try Conversation(over: connection, idleLimit: idleLimit).run { answer, isComplete in
            // Input that was sent with Ctrl-D in place of a newline has an answer without one.
            let endsLine = answer.last == UInt8(ascii: "\n")
            try StandardStreams.write(answer)
            if isComplete { try StandardStreams.write(endsLine ? Prompt.text : "\n" + Prompt.text) }
            isMidLine = isComplete || !endsLine
        }
    }
}
