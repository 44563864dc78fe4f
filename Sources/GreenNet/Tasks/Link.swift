/// Code that runs when a green thread has ended; `cut()` undoes it.
public final class Link: HubObject {
    private weak var greenlet: AnyGreenlet?
    private var observer: Observer?
    private var isCut = false
    var owner = Owner.here

    /// Runs `body` on a green thread of its own, once `greenlet` has ended.  Until then `greenlet` holds the link, and the link holds `body`.
    fileprivate init(_ greenlet: AnyGreenlet, _ body: @escaping () throws -> Void) {
        greenlet.checkOwner()
        self.greenlet = greenlet
        let title = "link of \(greenlet.title)"
        let locals = Hub.currentThread.scheduler.captureTaskLocals()
        // The green threads begin in the order of the links.
        let begin = { _ = spawn(name: title) { if !self.isCut { try body() } } }
        let follow = { if let locals { locals.bound(begin) } else { TaskWords.here.cleared(begin) } }
        if greenlet.hasEnded { follow() } else { observer = greenlet.observe(follow) }
    }

    /// Undoes the link: its code does not run any more, unless it has begun.  Never waits.  To be called on the OS thread of the green thread.
    public func cut() {
        checkOwner()
        isCut = true
        if let observer { greenlet?.forget(observer) }
        observer = nil
    }
}

@available(*, unavailable)
extension Link: Sendable {}

extension Greenlet {
    /// Calls `body` with this green thread once it has ended; soon, if it has ended already.  Never waits.
    ///
    /// `body` is called once, on a green thread of its own, so that it may wait; the task-locals that are bound where `link` is called are bound in it.  Several links begin in the order in which they were made.  An error of
    /// `body` is reported as that of any green thread.  To be called on the OS thread of the green thread.
    @discardableResult
    public func link(_ body: @escaping (Greenlet<Value>) throws -> Void) -> Link {
        Link(self) { try body(self) }
    }

    /// As `link`, but calls `body` with the value, and only if there is one.
    @discardableResult
    public func linkValue(_ body: @escaping (Value) throws -> Void) -> Link {
        Link(self) { [self] in if case .success(let value) = outcome { try body(value) } }
    }

    /// As `link`, but calls `body` with the error, and only if there is one that is not `GreenletExit`.  The error counts as observed.
    @discardableResult
    public func linkError(_ body: @escaping (any Error) throws -> Void) -> Link {
        checkOwner()
        isObserved = true
        return Link(self) { [self] in if let failure, !(failure is GreenletExit) { try body(failure) } }
    }
}
