import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SignalWatcherTests {
    @Test func `a signal wakes the green thread that waits for it`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            let waiter = spawn { try watcher.wait() }
            try waiter.waitUntilParked()
            #expect(Hub.current.description.contains("waits for a signal"))
            kill(getpid(), SIGUSR1)
            #expect(try waiter.value() == SIGUSR1)
        }
    }

    /// The hub has nothing else to wait for.
    @Test func `a signal that arrives at another OS thread wakes the hub`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            let sender = TestThread { _ = pthread_kill(pthread_self(), SIGUSR1) }
            let number = try watcher.wait()
            #expect(number == SIGUSR1)
            try sender.value()
        }
    }

    @Test func `a signal that comes before the wait is not lost`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            pthread_kill(pthread_self(), SIGUSR1)
            let number = try watcher.wait(until: .after(.seconds(5)))
            #expect(number == SIGUSR1)
        }
    }

    @Test func `a signal that was blocked at the program's start is let through`() throws {
        try onHub {
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGUSR1)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
            let watcher = SignalWatcher(SIGUSR1, SIGUSR2)
            pthread_kill(pthread_self(), SIGUSR1)
            let number = try watcher.wait(until: .after(.seconds(2)))
            #expect(number == SIGUSR1)
        }
    }

    @Test func `several signals of one kind before the wait count once`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            for _ in 0..<5 { pthread_kill(pthread_self(), SIGUSR1) }
            let number = try watcher.wait()
            #expect(number == SIGUSR1)
            #expect(throws: WaitError.deadlinePassed) { try watcher.wait(until: .after(.milliseconds(20))) }
            pthread_kill(pthread_self(), SIGUSR1)
            #expect(try watcher.wait() == SIGUSR1)
        }
    }

    @Test func `two kinds of signals are both reported`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1, SIGUSR2)
            let waiter = spawn { [try watcher.wait(), try watcher.wait()] }
            try waiter.waitUntilParked()
            pthread_kill(pthread_self(), SIGUSR2)
            pthread_kill(pthread_self(), SIGUSR1)
            #expect(try waiter.value().sorted() == [SIGUSR1, SIGUSR2])
        }
    }

    @Test func `each of two waiting green threads gets one signal`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1, SIGUSR2)
            let waiters = (0..<2).map { _ in spawn { try watcher.wait() } }
            for waiter in waiters { try waiter.waitUntilParked() }
            pthread_kill(pthread_self(), SIGUSR1)
            try waitUntil { waiters.contains { $0.hasEnded } }
            #expect(waiters.count { $0.hasEnded } == 1)
            pthread_kill(pthread_self(), SIGUSR2)
            #expect(try waiters.map { try $0.value() }.sorted() == [SIGUSR1, SIGUSR2])
        }
    }

    @Test func `the signal with the highest number is reported like the others`() throws {
        try onHub {
            let watcher = SignalWatcher(lastSignal)
            pthread_kill(pthread_self(), lastSignal)
            let number = try watcher.wait(until: .after(.seconds(5)))
            #expect(number == lastSignal)
        }
    }

    @Test func `two watchers each report their own signal`() throws {
        try onHub {
            let (one, other) = (SignalWatcher(SIGUSR1), SignalWatcher(SIGUSR2))
            pthread_kill(pthread_self(), SIGUSR1)
            pthread_kill(pthread_self(), SIGUSR2)
            let numbers = [try one.wait(), try other.wait()]
            #expect(numbers == [SIGUSR1, SIGUSR2])
        }
    }

    @Test func `a wait throws at its deadline, not before`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            let deadline = Deadline.now + .milliseconds(30)
            #expect(throws: WaitError.deadlinePassed) { try watcher.wait(until: deadline) }
            #expect(deadline.hasPassed)
            #expect(Deadline.now - deadline < slack)
        }
    }

    @Test func `a killed waiter throws cancelled and takes no signal with it`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            let waiter = spawn { try watcher.wait() }
            try waiter.waitUntilParked()
            waiter.kill()
            try waiter.join()
            #expect(waiter.state == .killed)
            pthread_kill(pthread_self(), SIGUSR1)
            #expect(try watcher.wait() == SIGUSR1)
        }
    }

    @Test func `without its watcher a signal has its default action again`() throws {
        try onHub {
            var watcher: SignalWatcher? = SignalWatcher(SIGUSR1, SIGUSR2)
            #expect(watcher != nil)
            #expect(!hasDefaultAction(SIGUSR1) && !hasDefaultAction(SIGUSR2))
            watcher = nil
            #expect(hasDefaultAction(SIGUSR1) && hasDefaultAction(SIGUSR2))
            #expect(SignalWatcher(SIGUSR1).isWaitingForNothing)
        }
        #expect(hasDefaultAction(SIGUSR1))
    }

    private func hasDefaultAction(_ number: Int32) -> Bool {
        var action = sigaction()
        sigaction(number, nil, &action)
        return action.__sigaction_handler.sa_handler == nil
    }

    @Test func `a forked child keeps its own action for a signal of its parent, and may watch the others`() async {
        await #expect(processExitsWith: .success) {
            try TestThread {
                var ofParent: SignalWatcher? = SignalWatcher(SIGUSR1)
                let others = SignalWatcher(SIGUSR2, SIGHUP)
                let pid = try Fork.child(.init()) {
                    for number in [SIGUSR1, SIGHUP] { signal(number, SIG_IGN) }
                    ofParent = nil
                    kill(getpid(), SIGUSR1)
                    let own = SignalWatcher(SIGUSR2)
                    kill(getpid(), SIGHUP)
                    kill(getpid(), SIGUSR2)
                    return (try? own.wait(until: .after(.seconds(20)))) == SIGUSR2 ? 0 : 1
                }
                var status: Int32 = -1
                precondition(waitpid(pid, &status, 0) == pid && status == 0, "the child's status is \(status)")
                withExtendedLifetime((ofParent, others)) {}
            }.value()
        }
    }

    /// A server that stops on a signal, as users write it.
    @Test func `a signal stops a server`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            let server = StreamServer(try Listener(on: loopback)) { connection in
                while let bytes = try connection.receiveView() { try connection.sendAll(bytes) }
            }
            server.start()
            let client = try Peer(connectedTo: server.listeners[0].address)
            client.write(pattern(10))
            #expect(try client.read(exactly: 10) == pattern(10))
            kill(getpid(), SIGUSR1)
            #expect(try watcher.wait() == SIGUSR1)
            try server.stop()
            #expect(try client.ending() == .end)
        }
    }
}

/// glibc's SIGRTMAX is a macro over a function.
private let lastSignal = __libc_current_sigrtmax()

extension SignalWatcher {
    fileprivate var isWaitingForNothing: Bool { (try? wait(until: .now)) == nil }
}
