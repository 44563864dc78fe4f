import Synchronization

/// The values of one call for each item, in the order of the items: `OffloadPool.iterate` makes it.
///
///     let pages = pool.iterate(files, ahead: 8) { try parse($0) }
///     while let page = try pages.next() { try store(page) }
///
/// For one green thread at a time.  Where the last reference goes, it is closed.
public final class OffloadedResults<Output: Sendable> {
    private let pool: OffloadPool
    private let ahead: Int
    /// The body of the call for the next item; nil after the last.
    private var nextBody: () -> (@Sendable () throws -> Output)?
    private let run: OffloadRun<Output>
    private var begun = 0
    private var taken = 0
    private var hasEnded = false

    /// Where the OS threads keep all processors busy, the green thread that begins further calls has its turn late, after some milliseconds: they must not run
    /// out of calls meanwhile.
    private static var leastAhead: Int { 16 }

    init(_ pool: OffloadPool, _ ahead: Int?, _ nextBody: @escaping () -> (@Sendable () throws -> Output)?) {
        require(ahead.map { $0 > 0 } ?? true, "\(ahead!) items ahead: it takes 1 or more")
        (self.pool, self.nextBody, run) = (pool, nextBody, OffloadRun(pool))
        let (twice, isTooLarge) = pool.limit.multipliedReportingOverflow(by: 2)
        self.ahead = ahead ?? max(isTooLarge ? .max : twice, OffloadedResults.leastAhead)
        fill()
    }

    deinit { close() }

    /// The value for the next item, for which it waits until `deadline`; nil after the last one.  Callable from a green thread of any hub.
    ///
    /// Throws the first error of a call, once the values for the items before it were returned, or at once where an earlier one is missing; the calls that have not
    /// begun never will then, and later calls of `next` return nil.  The same holds for `OffloadError.shutDown` and `SystemError`, where a call can't be begun.
    /// Throws `WaitError.deadlinePassed` where the value is not there by `deadline`, and `WaitError` when the caller is killed or an enclosing time limit is over;
    /// the calls go on then, and `next` may be called again.  The type is `any Error`, for a call can throw any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next(until deadline: Deadline = .never) throws -> Output? {
        guard !hasEnded, taken < begun else { return nil }
        switch try run.take(taken, until: deadline) {
        case .success(let output):
            taken += 1
            fill()
            return output
        case .failure(let error):
            close()
            throw error
        }
    }

    /// Gives up the calls whose values were not taken: those that have not begun never will.  Never waits.
    public func close() {
        hasEnded = true
        nextBody = { nil }
        run.giveUp()
    }

    /// Begins further calls.
    private func fill() {
        while begun - taken < ahead, !run.hasFailed, let body = nextBody() {
            run.begin(begun, body)
            begun += 1
        }
    }
}

@available(*, unavailable)
extension OffloadedResults: Sendable {}

extension OffloadPool {
    /// Calls `transform` with each item on OS threads of the pool, and returns the values in the order of the items.  Callable from a green thread of any hub.
    ///
    ///     let squares = try pool.map(1...4) { $0 * $0 }  // [1, 4, 9, 16]
    ///
    /// At most `ahead` items, 1 or more, are taken from `items` before the values for the items before them are there; nil: twice the pool's `limit`, and 16 at the
    /// least.  So `items` may be endless, or read a large file.
    /// The first error withdraws the calls that have not begun, and is thrown at once; those that run are given up.  The same happens at `deadline`, where
    /// `WaitError.deadlinePassed` is thrown, and when the caller is killed or an enclosing time limit is over.  The type is `any Error`, for `transform` can throw any
    /// type.  Callable in a call of the same pool, too.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func map<Item: Sendable, Output: Sendable>(
        _ items: some Sequence<Item>, ahead: Int? = nil, until deadline: Deadline = .never,
        _ transform: @escaping @Sendable (Item) throws -> Output
    ) throws -> [Output] {
        let results = iterate(items, ahead: ahead, transform)
        defer { results.close() }
        var outputs: [Output] = []
        outputs.reserveCapacity(items.underestimatedCount)
        while let output = try results.next(until: deadline) { outputs.append(output) }
        return outputs
    }

    /// As `map`, but returns at once, and gives the values one after the other: `while let value = try results.next()`.
    ///
    /// Begins the calls for the first `ahead` items, and a further one each time a value is taken.  Callable from any OS thread; never waits.
    public func iterate<Item: Sendable, Output: Sendable>(
        _ items: some Sequence<Item>, ahead: Int? = nil, _ transform: @escaping @Sendable (Item) throws -> Output
    ) -> OffloadedResults<Output> {
        var items = items.makeIterator()
        return OffloadedResults(self, ahead) {
            guard let item = items.next() else { return nil }
            return { try transform(item) }
        }
    }
}

// MARK: - One run

/// What the calls of one `iterate` and the green thread that takes their values share.
private final class OffloadRun<Output: Sendable>: Sendable {
    private struct State {
        var items: [Int: OffloadItem<Output>] = [:]
        var outputs: [Int: Output] = [:]
        var error: (any Error)?
        /// A green thread waits for the output of this item.
        var awaited: (index: Int, waiter: RemoteWaiter)?
    }

    private let pool: OffloadPool
    private let state = Mutex(State())

    init(_ pool: OffloadPool) { self.pool = pool }

    private func withState<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    var hasFailed: Bool { withState { $0.error != nil } }

    // MARK: On the side that takes

    func begin(_ index: Int, _ body: @escaping @Sendable () throws -> Output) {
        let item = OffloadItem(index, of: self, body)
        withState { $0.items[index] = item }
        do throws(OffloadError) {
            try pool.add(item)
        } catch {
            // The pool has never had it, and must not be asked to take it back.
            withState { $0.items[index] = nil }
            fail(error)
        }
    }

    /// The output of item `index`, else the first error.  Throws what ends the wait early.
    func take(_ index: Int, until deadline: Deadline) throws(WaitError) -> Result<Output, any Error> {
        if let result = result(index) { return result }
        if deadline == .never, let item = withState({ $0.items[index] }) { pool.performIfInside(item) }
        let isInside = pool.beginWaitInside()
        let waiter = RemoteWaiter(.greenThread)
        defer {
            waiter.end()
            withState { $0.awaited = nil }
            if isInside { pool.endWaitInside() }
        }
        while true {
            if let result = result(index, orTell: waiter) { return result }
            if let error = waiter.park(until: deadline) {
                guard let result = result(index) else { throw error }
                return result
            }
        }
    }

    private func result(_ index: Int, orTell waiter: RemoteWaiter? = nil) -> Result<Output, any Error>? {
        withState { state in
            if let output = state.outputs.removeValue(forKey: index) { return .success(output) }
            if let error = state.error { return .failure(error) }
            if let waiter { state.awaited = (index, waiter) }
            return nil
        }
    }

    /// The calls that run go on, and count as given up.
    func giveUp() {
        let items = withState { state in
            state.outputs = [:]
            return takeItems(from: &state)
        }
        // First those that have not begun: in place of one that runs and is given up, the pool begins another.
        let begun = items.filter { !pool.withdraw($0) }
        for item in begun { pool.giveUp(item) }
    }

    // MARK: On an OS thread of the pool

    func finish(_ index: Int, _ result: Result<Output, any Error>) {
        switch result {
        case .success(let output): finish(index, output)
        case .failure(let error): fail(error)
        }
    }

    private func finish(_ index: Int, _ output: Output) {
        let waiter: RemoteWaiter? = withState { state in
            // Nil where the item was given up.
            guard state.items.removeValue(forKey: index) != nil else { return nil }
            state.outputs[index] = output
            return state.awaited.flatMap { $0.index == index ? $0.waiter : nil }
        }
        waiter?.wake()
    }

    /// The first error counts.
    func fail(_ error: any Error) {
        let (items, waiter): ([OffloadItem<Output>], RemoteWaiter?) = withState { state in
            guard state.error == nil else { return ([], nil) }
            state.error = error
            return (Array(state.items.values), state.awaited?.waiter)
        }
        for item in items { pool.withdraw(item) }
        waiter?.wake()
    }

    private func takeItems(from state: inout State) -> [OffloadItem<Output>] {
        defer { state.items = [:] }
        return Array(state.items.values)
    }
}

/// The call for one item.
// As `OffloadedCall`.
private final class OffloadItem<Output: Sendable>: OffloadJob, @unchecked Sendable {
    var stage = OffloadStage.queued
    private let index: Int
    private let run: OffloadRun<Output>
    private var body: (@Sendable () throws -> Output)?

    init(_ index: Int, of run: OffloadRun<Output>, _ body: @escaping @Sendable () throws -> Output) {
        (self.index, self.run, self.body) = (index, run, withTaskLocalsOfCaller(body))
    }

    func perform() { run.finish(index, makeCall()) }

    private func makeCall() -> Result<Output, any Error> {
        let body = body!
        self.body = nil
        return Result { try body() }
    }

    func drop() { body = nil }

    func fail(_ error: any Error) { run.fail(error) }
}
