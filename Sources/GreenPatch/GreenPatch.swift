internal import CGreenPatch
import Glibc
import GreenNet

/// Makes blocking calls of C libraries park the green thread that makes them, while the other green threads of the hub run: what
/// `gevent.monkey.patch_all()` is for Python.
///
/// A program that links this module has the C library's `recv`, `poll`, `connect`, `nanosleep` and so on replaced by functions of the same names, for
/// itself and for every library that it loads.  They do what the C library's do until `install()` is called; from then on they park where a green thread
/// calls them.  On an OS thread without a hub they always are the C library's.
public enum GreenPatch {
    /// Makes blocking calls park their green threads, on the hubs of all OS threads.
    ///
    /// With `main`, the main green thread of each hub parks too, as with gevent; without, its calls block the OS thread.
    ///
    /// With `mutexes`, a green thread that locks a `pthread_mutex_t` held by another one parks until it is free.  Without, a library's mutex that is held over
    /// a wait stops the OS thread for ever when another green thread locks it; and a recursive one lets that green thread in.  It costs each lock some
    /// nanoseconds on a hub, and is for libraries whose objects several green threads share.
    ///
    /// Green threads and libraries may be under way; a call that has begun blocks to its end.  Callable from any green thread; never waits.
    /// Throws `GreenPatchError`, and changes nothing, where it is in effect already, where the OS thread has no hub, where the hub was inherited from the
    /// process that forked this one, and where a call of the program or of a loaded library does not lead to this module.
    public static func install(main: Bool = false, mutexes: Bool = false) throws(GreenPatchError) {
        if green_patch_in_child() != 0 { throw .forkedChild }
        if !PatchedWait.isOnHub { throw .noHub }
        if isInstalled { throw .installedAlready }
        try checkLibraries()
        var hooks = green_patch_hooks(
            wait: { PatchedWait.wait($0!, $1, until: Deadline(nanoseconds: $2), mayStay: $3 != 0) },
            wait_readable: { PatchedWait.waitUntilReadable($0, until: Deadline(nanoseconds: $1)) },
            sleep: { PatchedWait.sleep(until: Deadline(nanoseconds: $0)) },
            turn: { PatchedWait.endTurn() },
            offload: { Offload.run($0!, $1!, $2!) },
            closed: { PatchedWait.end(of: $0!) },
            forget: { PatchedWait.forget($0) })
        green_patch_install(&hooks, (main ? Int32(GREEN_PATCH_MAIN) : 0) | (mutexes ? Int32(GREEN_PATCH_MUTEXES) : 0))
    }

    /// Makes all calls the C library's again.  A call that waits already still parks its green thread, until it ends.  Callable from any OS thread.
    public static func uninstall() { green_patch_uninstall() }

    /// Whether `install()` is in effect.
    public static var isInstalled: Bool { green_patch_options() >= 0 }

    /// Calls `body`, which calls a C library, and returns or throws as `body` does; but where the green thread was killed meanwhile, or an enclosing time
    /// limit is over, throws that `WaitError` instead.
    ///
    /// A kill or the end of a time limit makes the library's waits fail with ECANCELED, which each library reports in a way of its own, or not at all.
    /// What the library has made by then is to be closed and not used again: a connection of libpq counts as good, though its query is under way.
    ///
    /// To be called on a green thread, after `install()`; the program is stopped otherwise.  On the main green thread a time limit acts only with
    /// `install(main: true)`: else throws `GreenPatchError.timeLimitOnMain`, and does not call `body`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public static func call<Value>(_ body: () throws -> Value) throws -> Value {
        require(PatchedWait.isOnHub, "GreenPatch.call outside a green thread")
        require(isInstalled, "GreenPatch.call before GreenPatch.install()")
        if PatchedWait.isMain, PatchedWait.hasTimeLimit, green_patch_options() & Int32(GREEN_PATCH_MAIN) == 0 {
            throw GreenPatchError.timeLimitOnMain
        }
        let result = Result { try body() }
        try PatchedWait.throwIfInterrupted()
        return try result.get()
    }

    /// Throws `GreenPatchError.notInPlace` where a call of the program, or of a library that is loaded now, does not lead to this module.  `install()` does the
    /// same; a program that loads libraries later may ask again.
    ///
    /// A library loaded with RTLD_DEEPBIND and bound lazily is found only after its first such call.  Never waits.  Callable from any OS thread.
    public static func checkLibraries() throws(GreenPatchError) {
        var library: UnsafePointer<CChar>?
        guard let call = green_patch_missing(&library) else { return }
        throw .notInPlace(call: String(cString: call), library: library.map { String(cString: $0) })
    }
}

/// Why `GreenPatch` can't do what was asked.
public enum GreenPatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// `install()` is in effect already.
    case installedAlready
    /// The OS thread that calls `install()` has no hub.
    case noHub
    /// The hub is that of the process that forked this one.
    case forkedChild
    /// The call with this name, made by the program or, where given, by the library at this path, leads to another definition than GreenPatch's.
    case notInPlace(call: String, library: String?)
    /// `call` on the main green thread, under a time limit that would not act.
    case timeLimitOnMain

    /// The reason in words, with what to do about it.
    public var description: String {
        switch self {
        case .installedAlready:
            "GreenPatch.install(): it is installed already; call uninstall() first to change options"
        case .noHub: "GreenPatch.install(): this OS thread has no hub; call it on a green thread, or after Hub.current"
        case .forkedChild: "GreenPatch.install(): the hub is that of the process that forked this one"
        case .notInPlace(let call, let library):
            "GreenPatch.install(): \(call) of \(library ?? "the program") does not lead to GreenPatch; a version script or RTLD_DEEPBIND hides it"
        case .timeLimitOnMain:
            "GreenPatch.call: a time limit on the main green thread acts only after GreenPatch.install(main: true)"
        }
    }
}
