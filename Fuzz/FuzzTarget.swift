import Glibc
import GreenNet
import Logging
import ProgramKit

/// What reads bytes from outside.  Each says what must be true of whatever it makes of them; libFuzzer looks for bytes of which it isn't.
///
/// Compiled together with the server's sources, by Scripts/fuzz.sh.
enum FuzzTarget: String {
    case request, configuration, setting, activation, address, log, lines, delimited, frames, value, tls, proxy, listen,
        fault

    /// libFuzzer has one entry; the environment says which of these it is.
    static let chosen: FuzzTarget = {
        let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = FuzzTarget(rawValue: name) else { fatalError("FUZZ_TARGET: '\(name)' is no target") }
        return target
    }()

    func run(_ bytes: [UInt8]) {
        switch self {
        case .request: FuzzTarget.readRequest(bytes)
        case .configuration: FuzzTarget.readConfiguration(bytes)
        case .setting: FuzzTarget.readSetting(bytes)
        case .activation: FuzzTarget.readActivation(bytes)
        case .address: FuzzTarget.readAddress(bytes)
        case .tls: FuzzTarget.receiveRecords(bytes)
        case .proxy: FuzzTarget.readProxyHeader(bytes)
        case .listen: FuzzTarget.readPlaces(bytes)
        case .fault: FuzzTarget.readFaults(bytes)
        case .log: FuzzTarget.writeLog(bytes)
        case .value: FuzzTarget.readValue(bytes)
        case .lines: FuzzTarget.readLines(bytes)
        case .delimited: FuzzTarget.readDelimited(bytes)
        case .frames: FuzzTarget.readFrames(bytes)
        }
    }

    private static func readRequest(_ bytes: [UInt8]) {
        let whole = head(of: [bytes])
        precondition(whole == head(of: bytes.map { [$0] }), "another head where it comes byte by byte")
        guard let request = try? HTTPRequest(head: whole ?? bytes) else { return }
        // By its bytes: to Swift, what combines with the slash makes another character of it.
        precondition(request.path.utf8.first == UInt8(ascii: "/") || request.path == "*" && request.method == .options)
        precondition(request.path.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }, "a control character in the path")
    }

    /// Nil where it is too long, or there is more to come.
    private static func head(of pieces: [[UInt8]]) -> [UInt8]? {
        var head = HTTPHead()
        do {
            for piece in pieces { if let bytes = try head.add(piece) { return bytes } }
        } catch {
            precondition(pieces.joined().count >= HTTPHead.longest, "too long too soon")
        }
        return nil
    }

    private static func readConfiguration(_ bytes: [UInt8]) {
        do throws(StartFailure) {
            let file = try ConfigurationFile(path: "f", text: String(decoding: bytes, as: UTF8.self))
            let settings = try Settings(SettingSources([:], environment: { _ in nil }, file: file))
            check(settings)
        } catch {
            precondition(error.status == .configuration && error.message.hasPrefix("f:"), "no file and line")
        }
    }

    /// A name, a line feed, and its value.
    private static func readSetting(_ bytes: [UInt8]) {
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\n", maxSplits: 1)
        guard parts.count == 2, Settings.names.contains(String(parts[0])) else { return }
        let (name, value) = (String(parts[0]), String(parts[1]))
        do throws(StartFailure) {
            check(try Settings(SettingSources([name: value], environment: { _ in nil })))
        } catch {
            precondition(error.message.hasPrefix("--\(name): '\(value)' "), "the message doesn't name option and value")
        }
    }

    /// What any combination that was accepted keeps to.
    private static func check(_ settings: Settings) {
        precondition(NumericOptions.Server.bufferSize.range.contains(settings.bufferSize))
        precondition(NumericOptions.Server.workers.range.contains(settings.workers))
        precondition(settings.drainTimeout >= .zero && settings.idleTimeout != .zero && settings.writeTimeout != .zero)
        precondition(settings.model.options.contains(.processes) || settings.processes == nil)
        for setting in Settings.all { _ = setting.show(settings) }
    }

    /// A variable a line.
    private static func readActivation(_ bytes: [UInt8]) {
        let names = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"]
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        // The variables are the kernel's: they have no zeros in them.
        let values = zip(names, lines).map { ($0, String($1.filter { $0 != "\0" })) }
        let variables = ManagerVariables(Dictionary(uniqueKeysWithValues: values))
        if let interval = Watchdog.interval(variables, of: 1) { precondition(interval > .zero) }
        // As many as a process can have are named; more than that would only take long to list here.
        if let count = variables["LISTEN_FDS"].flatMap({ Int($0) }), count > 100_000 { return }
        let passed = (try? Activation.passed(variables, to: 1)) ?? []
        precondition(passed.map(\.descriptor) == (0..<Int32(passed.count)).map { $0 + Activation.firstDescriptor })
    }

    private static func readAddress(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let endpoint = try? Endpoint(parsing: text), !text.unicodeScalars.contains(where: \.isControl) {
            precondition((try? Endpoint(parsing: "\(endpoint)")) == endpoint)
        }
        guard let address = SocketAddress(ip: text, port: 7) else { return }
        let shown = "\(address)"
        let end = shown.index(shown.endIndex, offsetBy: -2)
        precondition(SocketAddress(ip: String(shown[..<end].filter { !"[]".contains($0) }), port: 7) == address)
    }

    /// What a process pool's worker sends.  By its bytes: some numbers are not equal to themselves.
    private static func readValue(_ bytes: [UInt8]) {
        guard let value = try? ValueDecoder.decode(Sample.self, from: bytes[...]),
            let again = try? ValueEncoder.encode(value, upTo: 1 << 24)
        else { return }
        guard let same = try? ValueDecoder.decode(Sample.self, from: again[...]) else {
            preconditionFailure("what was encoded can't be decoded")
        }
        precondition(try! ValueEncoder.encode(same, upTo: 1 << 24) == again, "another value comes back")
    }

    private struct Sample: Codable {
        var flag: Bool?
        var small: Int8?
        var large: UInt64?
        var ratio: Float?
        var text: String?
        var bytes: [UInt8]?
        var numbers: [Double]?
        var choices: [Choice]?
        var parts: [Sample]?
    }

    private enum Choice: Codable {
        case nothing
        case number(Int)
        case pair(String, Bool)
    }

    /// A message, and then names and values of fields, a line each.
    private static func writeLog(_ bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        var fields: Logger.Metadata = [:]
        for index in stride(from: 1, to: lines.count - 1, by: 2) {
            fields[String(lines[index])] = "\(lines[index + 1])"
        }
        let entry = LogEntry(time: timespec(), level: .info, message: String(lines.first ?? ""), fields: fields)
        for line in [
            LogLine.text(entry, longest: 4096), LogLine.json(entry, longest: 4096),
            LogLine.prefixed(entry, longest: 4096),
        ] {
            precondition(line.count <= 4096 && String(validating: line, as: UTF8.self) != nil)
            precondition(line.last == UInt8(ascii: "\n") && line.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7f })
        }
        _ = JournalMessage.bytes(entry)
    }
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTarget.chosen.run(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
