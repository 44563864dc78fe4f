import Glibc
import Testing

@testable import EchoServer
@testable import GreenNet

@Suite struct SocketAccessTests {
    @Test(
        arguments: [
            ("0", 0, "0000"), ("0000", 0, "0000"), ("660", 0o660, "0660"), ("0660", 0o660, "0660"),
            ("777", 0o777, "0777"),
            ("0777", 0o777, "0777"), ("7", 7, "0007"),
        ] as [(String, mode_t, String)])
    func `a mode is octal, 0 to 0777`(text: String, mode: mode_t, shown: String) {
        #expect(SocketAccess.mode(text) == mode)
        #expect(SocketAccess.show(mode) == shown)
    }

    @Test(arguments: ["", "1000", "8", "0o660", "0x1ff", "-1", "+7", "rw", "u=rw", " 660", "99999999999999999999"])
    func `anything else is no mode`(text: String) { #expect(SocketAccess.mode(text) == nil) }

    @Test(arguments: ["root", "www-data", "0", "4294967294", "user.name", "DOMAIN\\user", "m\u{fc}ller"])
    func `an account has a name or a number`(text: String) { #expect(Account.isWellFormed(text)) }

    @Test(arguments: ["", "4294967295", "99999999999999999999", "a b", "a:b", "a\0b", "root\n"])
    func `anything else is no account`(text: String) { #expect(!Account.isWellFormed(text)) }

    @Test func `names are looked up, and numbers are not`() throws {
        let access = SocketAccess(mode: 0o600, owner: "root", group: "4294967294")
        let expected = UnixPermissions(mode: 0o600, owner: 0, group: 4_294_967_294)
        #expect(try access.permissions("admin") == expected)
        #expect(try SocketAccess(group: "root").permissions("admin") == UnixPermissions(group: 0))
        #expect(try SocketAccess().permissions("admin") == UnixPermissions())
    }

    @Test func `a name that does not exist is named, with its setting`() {
        for (access, start) in [
            (SocketAccess(owner: "no-such-user"), "admin-owner: there is no user 'no-such-user'"),
            (SocketAccess(group: "no-such-group"), "admin-group: there is no group 'no-such-group'"),
        ] {
            let failure = #expect(throws: StartFailure.self) { try access.permissions("admin") }
            #expect(failure?.status == .configuration)
            #expect(failure?.message.hasPrefix(start) == true)
        }
    }
}
