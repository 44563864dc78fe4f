import CForkServer

/// Makes a process for each client of `echo-server --model process`: a fork of a program as small as this one takes a fraction of what a fork of the server takes.
///
/// The server starts it, and it ends with the server.  For installing it is compiled as Embedded Swift, without the runtime: see `Scripts/build-dist.sh`.
@main
enum ForkServer {
    static func main() {
        let server = getppid()
        guard let memory = map(Int(fork_cells) * 8, MAP_SHARED, Int32(fork_memory)) else { exit(71) }
        close(Int32(fork_memory))
        let cells = memory.assumingMemoryBound(to: Int64.self)
        guard cells[Int(fork_version)] == Int64(fork_current_version) else { exit(78) }
        guard let buffer = map(Int(cells[Int(fork_buffer_size)]), MAP_PRIVATE | MAP_ANONYMOUS, -1) else { exit(71) }
        let room = UnsafeMutableRawBufferPointer(start: buffer, count: Int(cells[Int(fork_buffer_size)]))
        ChildSignals.prepare()
        while let (client, request) = nextClient() {
            // Before the child runs: a signal to it may come at once.
            ChildSignals.client = client
            let child = fork_for_parent(lastChild(cells))
            if child == 0 {
                close(Int32(fork_requests))
                ChildSignals.begin(server)
                _exit(Child(client: client, request: request, counters: cells, buffer: room).serve())
            }
            close(client)
            answer(child)
        }
    }

    private static func map(_ count: Int, _ flags: Int32, _ file: Int32) -> UnsafeMutableRawPointer? {
        guard let memory = mmap(nil, count, PROT_READ | PROT_WRITE, flags, file, 0), Int(bitPattern: memory) != -1
        else {
            return nil
        }
        return memory
    }

    private static func lastChild(_ cells: UnsafeMutablePointer<Int64>) -> UnsafeMutablePointer<Int32> {
        UnsafeMutableRawPointer(cells + Int(fork_last_child)).assumingMemoryBound(to: Int32.self)
    }

    /// Nil where the server has gone.
    private static func nextClient() -> (Int32, fork_request)? {
        var request = fork_request()
        while true {
            let client = fork_request_receive(Int32(fork_requests), &request)
            if client >= 0 { return (client, request) }
            if client == -EPIPE { return nil }
            answer(client)
        }
    }

    /// The number of the child, or why there is none.
    private static func answer(_ result: Int32) {
        var result = result
        _ = fork_send(Int32(fork_requests), &result, 4)
    }
}
