import Glibc
import GreenNet
import Synchronization

/// A connection that one OS thread serves, and that the hub's OS thread may shut down meanwhile.
final class ThreadConnection: Sendable {
    let peer: SocketAddress
    private let state: Mutex<State>

    private struct State {
        /// Nil once the connection is closed: another file may have the number by then.
        var descriptor: Int32?
        var request: ConnectionService.Request?
    }

    init(descriptor: Int32, peer: SocketAddress) {
        state = Mutex(State(descriptor: descriptor))
        self.peer = peer
    }

    /// Serves the connection, from the first byte to the last.  On its OS thread.
    func run(_ service: ThreadService) -> ConnectionEnd {
        let number = withState { $0.descriptor! }
        let (connection, end) = service.serve(number, peer, request: { [self] in withState { $0.request } })
        withState { state in
            state.descriptor = nil
            connection.close()
        }
        return end
    }

    private func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// For a connection that got no OS thread.
    func close() {
        withState { state in
            if let number = state.descriptor { _ = Glibc.close(number) }
            state.descriptor = nil
        }
    }

    /// Makes a blocked `recv` return what has come, and then the end of the stream.
    func endReceiving() { shutDown(Int32(SHUT_RD), .finishReceiving) }

    /// Makes every blocked call on the connection return.
    func endBoth() { shutDown(Int32(SHUT_RDWR), .cancel) }

    private func shutDown(_ how: Int32, _ request: ConnectionService.Request) {
        withState { state in
            state.request = request
            if let descriptor = state.descriptor { _ = Glibc.shutdown(descriptor, how) }
        }
    }
}
