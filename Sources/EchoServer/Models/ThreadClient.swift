import Glibc
import GreenNet
import Synchronization

/// A connection that one OS thread serves, and that the hub's may shut down meanwhile.
final class ThreadClient: Sendable {
    let peer: SocketAddress
    /// Nil once it is closed: the number may be somebody else's by then.
    private let descriptor: Mutex<Int32?>

    init(descriptor: Int32, peer: SocketAddress) {
        self.descriptor = Mutex(descriptor)
        self.peer = peer
    }

    /// On its OS thread, from the first byte to the last.
    func run(_ context: BlockingContext) -> ConnectionEnd {
        let number = withDescriptor { $0! }
        let (connection, end) = context.serve(number, peer)
        withDescriptor { descriptor in
            descriptor = nil
            connection.close()
        }
        return end
    }

    private func withDescriptor<Result: Sendable>(_ body: (inout Int32?) -> Result) -> Result {
        descriptor.withLock { descriptor in Context.locked(self) { body(&descriptor) } }
    }

    /// Where no OS thread could be had for it.
    func close() {
        withDescriptor { descriptor in
            if let number = descriptor { _ = Glibc.close(number) }
            descriptor = nil
        }
    }

    /// Makes a `recv` that blocks return what has come, and then the end of the stream.
    func endReceiving() { shutDown(Int32(SHUT_RD)) }

    /// Makes every call on it return.
    func endBoth() { shutDown(Int32(SHUT_RDWR)) }

    private func shutDown(_ how: Int32) {
        withDescriptor { descriptor in
            if let descriptor { _ = Glibc.shutdown(descriptor, how) }
        }
    }
}
