import Glibc

/// Forked children that go on as this program, without the hub of their parent.
package enum Fork {
    /// What the child sees of its parent when it begins.
    package struct Inheritance {
        /// Descriptors to keep, besides standard input, output and error.
        package var descriptors: [Int32] = []
        /// The signal that the child gets when its parent ends, however it ends.
        package var signalAtParentsEnd: Int32 = SIGKILL
        /// All signals but faults stay blocked, until a `SignalWatcher` wants one.
        package var keepsSignalsBlocked = false
        /// A process group of its own, which can be ended as a whole.
        package var hasOwnGroup = false
        /// By how much the child's oom_score_adj is above its parent's: out of memory, the kernel kills the child first.
        package var oomScoreRaise: Int32 = 0

        package init(
            descriptors: [Int32] = [], signalAtParentsEnd: Int32 = SIGKILL, keepsSignalsBlocked: Bool = false,
            hasOwnGroup: Bool = false, oomScoreRaise: Int32 = 0
        ) {
            (self.descriptors, self.signalAtParentsEnd) = (descriptors, signalAtParentsEnd)
            (self.keepsSignalsBlocked, self.oomScoreRaise) = (keepsSignalsBlocked, oomScoreRaise)
            self.hasOwnGroup = hasOwnGroup
        }
    }

    /// Runs `body` in a child process and returns its id.  The child ends with what `body` returns, without running any exit handler.
    ///
    /// To be called while the process has one OS thread: no other one would exist in the child, and whatever it held would stay held.  The idle ones of
    /// offload pools are ended first; where one runs a call, the program stops.
    /// In the child, the parent's hub is as good as gone: its loop shares the kernel's epoll set with the parent's, and a change there would be
    /// felt here.  So its descriptors are closed, unused, and the next call that needs a hub makes one.
    /// `prepare` runs in the child while signals are blocked: to install handlers before one can come.
    package static func child(
        _ inheritance: Inheritance, prepare: () -> Void = {}, _ body: () -> Int32
    ) throws(SystemError) -> pid_t {
        endOffloadThreads()
        var all = OSThread.signalsToBlock
        var before = sigset_t()
        // A signal in between would run the parent's handler in the child, and write to a descriptor that may have another owner by then.
        pthread_sigmask(SIG_BLOCK, &all, &before)
        let parent = getpid()
        // Not by each child: the code for it would cost it three page faults.
        let kept = inheritance.descriptors.sorted()
        let pid = SystemCalls.fork()
        if pid == 0 {
            becomeChild(of: parent, inheritance, keeping: kept)
            prepare()
            if !inheritance.keepsSignalsBlocked { pthread_sigmask(SIG_SETMASK, &before, nil) }
            _exit(body())
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        if pid < 0 { throw SystemError(Int32(-pid)) }
        // Here too: the parent may signal the group before the child has made it.
        if inheritance.hasOwnGroup { setpgid(pid_t(pid), pid_t(pid)) }
        return pid_t(pid)
    }

    /// A child that has ended and was not told of before, and its status as waitpid has it; nil where there is none.  Never waits.
    package static func endedChild() -> (pid_t, Int32)? { SystemCalls.collectAnyChild() }

    /// One whose call has just been answered takes a moment to be idle.
    private static func endOffloadThreads() {
        if LinuxCalls.isSingleThreaded { return }
        var running = OffloadPool.endIdleThreads()
        for _ in 0..<1000 where running > 0 {
            poll(nil, 0, 1)
            running = OffloadPool.endIdleThreads()
        }
        require(
            running == 0, "fork while \(running) OS threads run calls of an OffloadPool: wait for the calls first")
    }

    private static func becomeChild(of parent: pid_t, _ inheritance: Inheritance, keeping kept: [Int32]) {
        resetSignals()
        _ = LinuxCalls.signalAtParentsEnd(inheritance.signalAtParentsEnd)
        // The parent may have ended before that was arranged.
        if getppid() != parent { _exit(1) }
        if inheritance.hasOwnGroup { setpgid(0, 0) }
        Hub.abandon()
        LinuxCalls.closeAll(from: 3, but: kept)
        LinuxCalls.prepareBellOfChild()
        // Now there is a descriptor left for it.
        if inheritance.oomScoreRaise > 0 { LinuxCalls.raiseOOMScore(by: inheritance.oomScoreRaise) }
    }

    /// The handlers were the parent's.  Those for faults are as good here, and a signal that was ignored stays so.
    private static func resetSignals() {
        for number in 1..<Int32(65) where number != SIGSEGV && number != SIGBUS {
            var action = sigaction()
            guard sigaction(number, nil, &action) == 0 else { continue }
            if unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) > 1 { signal(number, SIG_DFL) }
        }
    }
}
