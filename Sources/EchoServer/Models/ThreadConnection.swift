import Glibc
import GreenNet
import Synchronization

/// A connection that one OS thread serves, and that the hub's may shut down meanwhile.
final class ThreadClient: Sendable {
    let peer: SocketAddress
    private let state: Mutex<State>

    private struct State {
        /// Nil once it is closed: the number may be somebody else's by then.
        var descriptor: Int32?
        var request: BlockingContext.Request?
    }

    init(descriptor: Int32, peer: SocketAddress) {
        state = Mutex(State(descriptor: descriptor))
        self.peer = peer
    }

    /// On its OS thread, from the first byte to the last.
    func run(_ context: BlockingContext) -> ConnectionEnd {
        let number = withState { $0.descriptor! }
        let (connection, end) = context.serve(number, peer, request: { withState { $0.request } })
        withState { state in
            state.descriptor = nil
            connection.close()
        }
        return end
    }

    private func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// Where no OS thread could be had for it.
    func close() {
        withState { state in
            if let number = state.descriptor { _ = Glibc.close(number) }
            state.descriptor = nil
        }
    }

    /// Makes a `recv` that blocks return what has come, and then the end of the stream.
    func endReceiving() { shutDown(Int32(SHUT_RD), .finishReceiving) }

    /// Makes every call on it return.
    func endBoth() { shutDown(Int32(SHUT_RDWR), .cancel) }

    private func shutDown(_ how: Int32, _ request: BlockingContext.Request) {
        withState { state in
            state.request = request
            if let descriptor = state.descriptor { _ = Glibc.shutdown(descriptor, how) }
        }
    }
}
