import GreenNet
import ProgramKit

extension FuzzTarget {
    /// The parser gives the same whether the bytes come one by one or as many as it asks for, asks for no byte behind a header, and reads again what was written
    /// of a header that it has taken.
    static func readProxyHeader(_ bytes: [UInt8]) {
        let whole = read(bytes, atMost: .max)
        precondition(whole == read(bytes, atMost: 1), "another end where the header comes byte by byte")
        guard case .success(let end) = whole, case .done(let header) = end.step else { return }
        precondition(end.count <= 16 + ProxyHeaderParser.longestRest)
        var plain = ProxyHeader(header.version, header.ends, isLocal: header.isLocal)
        guard case .success(let again) = read(plain.bytes, atMost: .max), case .done(let same) = again.step else {
            preconditionFailure("what was written can't be read")
        }
        plain.extensions.isChecked = same.extensions.isChecked
        // A path that is not UTF-8 is shown in another way, which may be too long for the field.
        if case .unix? = header.ends?.source { return }
        precondition(same.ends?.source == plain.ends?.source.unmapped || plain.ends == nil || same.ends == nil)
    }

    private struct End: Equatable {
        let step: ProxyHeaderParser.Step
        /// How many bytes were read.
        let count: Int
    }

    private static func read(_ bytes: [UInt8], atMost most: Int) -> Result<End, ProxyHeaderError> {
        var (parser, rest) = (ProxyHeaderParser(), bytes[...])
        do throws(ProxyHeaderError) {
            var step = try parser.step()
            while case .needs(let count) = step, !rest.isEmpty {
                precondition(count > 0, "the parser asks for \(count) bytes")
                let piece = rest.prefix(min(count, most))
                rest = rest.dropFirst(piece.count)
                step = try parser.add(piece)
            }
            // How many it asks for differs with what has come.
            if case .needs = step { return .success(End(step: .needs(0), count: bytes.count)) }
            // How far it reads until it sees that there is no header, too.
            if case .absent = step { return .success(End(step: step, count: 0)) }
            return .success(End(step: step, count: bytes.count - rest.count))
        } catch {
            return .failure(error)
        }
    }
}
