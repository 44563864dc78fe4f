import GreenNet

/// Standard input to the service, its answers to standard output: for pipes.
struct Filter {
    let connection: ServiceStream
    let idleLimit: Duration?

    func run() throws {
        try Conversation(over: connection, idleLimit: idleLimit).run { answer, _ in try StandardStreams.write(answer) }
        try StandardStreams.checkWritten()
    }
}
