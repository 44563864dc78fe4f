// SwiftNIO with a handler for each connection, on one event loop.  It adapts its buffer itself, whatever --buffer says.  TERM ends it.

import Glibc
import NIOCore
import NIOPosix

final class Upper: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        buffer.withUnsafeMutableReadableBytes(uppercase)
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

private func uppercase(_ bytes: UnsafeMutableRawBufferPointer) {
    let text = bytes.assumingMemoryBound(to: UInt8.self)
    for index in text.indices {
        let isLower: UInt8 = text[index] &- UInt8(ascii: "a") < 26 ? 0x20 : 0
        text[index] ^= isLower
    }
}

@main
enum NIOServer {
    static func main() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Upper()) }
            }
        let listener = try bootstrap.bind(host: "127.0.0.1", port: 0).wait()
        let line = "listening on 127.0.0.1:\(listener.localAddress!.port!) model=nio pid=\(getpid())\n"
        _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
        try listener.closeFuture.wait()
    }
}
