import Glibc
import TestSupport
import Testing

@testable import EchoServer

@Suite struct ConfigurationFileTests {
    private func value(of name: String, in text: String) throws -> String? {
        try ConfigurationFile(path: "f", text: text).value(of: name)?.text
    }

    @Test(arguments: [
        "port=7", "port = 7", "  port\t=  7  ", "port = '7'", "port = \"7\"", "ECHO_SERVER_PORT=7",
        "ECHO_SERVER_PORT='7'",
        "# port = 8\n\nport = 7\n", "port = 7\r\nhost = ::1\r\n", "host = ::1\nport = 7",
    ])
    func `a setting is a line, as the option or the variable is called`(text: String) throws {
        #expect(try value(of: "port", in: text) == "7")
    }

    @Test(arguments: [
        ("host = \"", "\""), ("host = '\"'", "\""), ("host = a=b", "a=b"), ("host = a b", "a b"),
        ("host = a # b", "a # b"),
        ("host =", ""), ("host = ''", ""),
    ])
    func `a value is the text behind the first equals sign, without its quotes`(text: String, value: String) throws {
        #expect(try self.value(of: "host", in: text) == value)
    }

    @Test func `a setting that is not in the file has no value`() throws {
        #expect(try value(of: "port", in: "host = ::1") == nil)
    }

    @Test(arguments: [
        ("port 7", "f:1: 'port 7' is not of the form KEY = VALUE"),
        ("\n# x\nprot = 7", "f:3: unknown setting 'prot'; did you mean 'port'?"),
        ("ECHO_SERVER_PROT=7", "f:1: unknown setting 'ECHO_SERVER_PROT'; did you mean 'port'?"),
        ("config = x", "f:1: unknown setting 'config'"),
        ("port = 7\nhost = x\nECHO_SERVER_PORT=8", "f:3: ECHO_SERVER_PORT was already given in line 1"),
        ("= 7", "f:1: unknown setting ''"),
    ])
    func `a line that means nothing is an error with file and line`(text: String, message: String) {
        let failure = #expect(throws: StartFailure.self) { try ConfigurationFile(path: "f", text: text) }
        #expect(failure?.status == .configuration)
        #expect(failure?.message == message)
    }

    @Test func `a file that can't be read is named, with the reason`() throws {
        try withTemporaryDirectory { directory in
            for (path, reason) in [("\(directory)/none", "ENOENT"), (directory, "EISDIR"), ("/dev/zero", "EFBIG")] {
                let failure = #expect(throws: StartFailure.self) { try ConfigurationFile(path: path) }
                #expect(failure?.status == .configuration)
                #expect(failure?.message.hasPrefix("cannot read \(path): ") == true)
                #expect(failure?.message.contains(reason) == true)
            }
        }
    }

    @Test func `a pipe is refused, even where all of it is there`() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { close(ends[0]) }
        #expect(Glibc.write(ends[1], "port = 7\n", 9) == 9)
        close(ends[1])
        let path = "/proc/self/fd/\(ends[0])"
        let failure = #expect(throws: StartFailure.self) { try ConfigurationFile(path: path) }
        #expect(failure?.message == "cannot read \(path): illegal seek (ESPIPE)")
    }

    @Test func `an optional file is no error if it is missing, and is read if it exists`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/settings"
            let options = try Options.parse(["--config=-\(path)"])
            #expect(try Configuration(options).read().port == 8080)
            try write("port = 7", to: path)
            #expect(try Configuration(options).read().port == 7)
            try write("port = x", to: path)
            #expect(throws: StartFailure.self) { try Configuration(options).read() }
            let other = try Options.parse(["--config=-\(path)/below"])
            #expect(throws: StartFailure.self) { try Configuration(other).read() }
        }
    }

    @Test func `a line that is not UTF-8 is refused, and a comment may be anything`() throws {
        let bytes = Array("# gr".utf8) + [0xfc, 0x0a] + Array("port = 7\nunix-socket = /tmp/".utf8) + [0xff, 0x0a]
        let failure = #expect(throws: StartFailure.self) { try ConfigurationFile(path: "f", bytes: bytes) }
        #expect(failure?.message == #"f:3: 'unix-socket = /tmp/\xff' is not UTF-8"#)
        let file = try ConfigurationFile(path: "f", bytes: Array(bytes.prefix(15)))
        #expect(file.value(of: "port")?.text == "7")
    }

    @Test(arguments: ["unix-socket = a\0b", "host = a\0b", "admin = /a\0b", "admin = a\0b:1"])
    func `a zero byte in a name that C would cut there is refused`(text: String) throws {
        let sources = SettingSources([:], environment: { _ in nil }, file: try ConfigurationFile(path: "f", text: text))
        let failure = #expect(throws: StartFailure.self) { try Settings(sources) }
        #expect(failure?.message.contains("\0b") == true)
    }
}
