import Glibc
import GreenNet
import GreenPatch

let ofInstalls: [Case] = [
    Case("without an install a sleep blocks the OS thread") {
        let sleeper = spawn { usleep(5_000) }
        expect(try spawn { sleeper.hasEnded }.value())
    },
    .patched("after an uninstall a sleep blocks the OS thread") {
        GreenPatch.uninstall()
        expect(!GreenPatch.isInstalled)
        let sleeper = spawn { usleep(5_000) }
        expect(try spawn { sleeper.hasEnded }.value())
    },
    .patched("an uninstall leaves a wait under way") {
        let pipe = Pipe()
        let reader = spawn { pipe.readByte() }
        try Greenlet.yield()
        GreenPatch.uninstall()
        pipe.writeByte(7)
        expect(try reader.value() == 7)
        pipe.close()
    },
    .patched("a second install throws") {
        expect(failure { try GreenPatch.install() } as? GreenPatchError == .installedAlready)
        expect(GreenPatch.isInstalled)
    },
    Case("an install without a hub throws") {
        expect(failure { try GreenPatch.install() } as? GreenPatchError == .noHub)
        expect(!GreenPatch.isInstalled)
    },
    .patched("an install in a forked child that has its parent's hub throws") {
        let answer = Pipe()
        let pid = fork()
        if pid == 0 {
            answer.writeByte(failure { try GreenPatch.install() } as? GreenPatchError == .forkedChild ? 1 : 2)
            _exit(0)
        }
        expect(answer.readByte() == 1)
        expect(waitpid(pid, nil, 0) == pid)
        answer.close()
    },
    .patched("a forked child with a hub of its own may install it") {
        let answer = Pipe()
        let pid = try Fork.child(.init(descriptors: [answer.writing])) {
            answer.writeByte((try? sleepsInParallelAfterInstall()) == true ? 1 : 2)
            return 0
        }
        expect(answer.readByte() == 1)
        expect(waitpid(pid, nil, 0) == pid)
        answer.close()
    },
    .patched("the main green thread does not park by itself") {
        let other = spawn {}
        usleep(1_000)
        expect(!other.hasEnded)
        try other.join()
    },
    .patched("the main green thread parks where that was asked for", main: true) {
        let other = spawn {}
        usleep(1_000)
        expect(other.hasEnded)
    },
    .patched("an OS thread without a hub is not affected") {
        let slept = try Hub.current.offload { elapsed { usleep(5_000) } >= .milliseconds(5) }
        expect(slept)
    },
    Case("on a hub with a virtual clock a sleep takes no time") {
        Hub.startVirtual()
        try GreenPatch.install()
        let (start, realStart) = (Deadline.now, ContinuousClock.now)
        try spawn { _ = sleep(3600) }.value()
        expect(.now - start >= .seconds(3600))
        expect(ContinuousClock.now - realStart < slack)
    },
    Case("a library that is loaded with RTLD_DEEPBIND is named") {
        // A sanitizer refuses to load such libraries.
        guard Sanitizer.active == .none else { return }
        _ = Hub.current
        let deepBind: Int32 = 8
        let library = dlopen("libcurl.so.4", RTLD_NOW | deepBind) ?? dlopen("libssl.so.3", RTLD_NOW | deepBind)
        expect(library != nil, "no library to load: \(String(cString: dlerror()))")
        let error = failure { try GreenPatch.install() }
        guard case .notInPlace(_, let path?) = error as? GreenPatchError else {
            return expect(false, "\(String(describing: error))")
        }
        expect(path.hasSuffix(".so.4") || path.hasSuffix(".so.3"), path)
    },
]

private func sleepsInParallelAfterInstall() throws -> Bool {
    _ = Hub.current
    try GreenPatch.install()
    let sleeper = spawn { usleep(1_000) }
    let wasFirst = try spawn { sleeper.hasEnded }.value()
    try sleeper.join()
    return !wasFirst
}
