/// What shall happen when a green thread has ended; `cut()` undoes it.
public final class Link {
    private weak var greenlet: AnyGreenlet?
    private var observer: Observer?
    private var isCut = false

    /// Runs `body` on a green thread of its own, once `greenlet` has ended.  Until then it is held, and holds what `body` does.
    fileprivate init(_ greenlet: AnyGreenlet, _ body: @escaping () throws -> Void) {
        self.greenlet = greenlet
        let title = "link of \(greenlet.title)"
        // The green threads begin in the order of the links.
        let follow = { _ = spawn(name: title) { if !self.isCut { try body() } } }
        if greenlet.hasEnded { follow() } else { observer = greenlet.observe(follow) }
    }

    /// Nothing happens any more, also where the green thread has ended and the link has not begun.  Never waits.
    public func cut() {
        isCut = true
        if let observer { greenlet?.forget(observer) }
        observer = nil
    }
}

@available(*, unavailable)
extension Link: Sendable {}

extension Greenlet {
    /// Calls `body` with this green thread once it has ended; soon, where it has already.
    ///
    /// On a green thread of its own, so that it may wait, and once.  Several begin in the order in which they were linked, and one that throws
    /// is reported like any green thread.  Never waits.
    @discardableResult
    public func link(_ body: @escaping (Greenlet<Value>) throws -> Void) -> Link {
        Link(self) { try body(self) }
    }

    /// Calls `body` with the value, where it ends with one; else as `link` does.
    @discardableResult
    public func linkValue(_ body: @escaping (Value) throws -> Void) -> Link {
        Link(self) { [self] in if case .success(let value) = outcome { try body(value) } }
    }

    /// Calls `body` with the error, where it ends with one that is not a plain kill's; else as `link` does.  The error counts as asked for.
    @discardableResult
    public func linkError(_ body: @escaping (any Error) throws -> Void) -> Link {
        isObserved = true
        return Link(self) { [self] in if let failure, !(failure is GreenletExit) { try body(failure) } }
    }
}
