import CSwitch

/// Two stacks that do nothing but leave each other: what every other way to change green threads is made of.
///
/// `count` switches, there and back counted apart.  Both stacks run the same lines, as green threads that wait for the same thing do:
/// the processor foresees where they return to.
func switchBarely(_ count: Int) {
    let pair = UnsafeMutablePointer<green_thread>.allocate(capacity: 2)
    pair.initialize(repeating: green_thread(), count: 2)
    let stack = UnsafeMutableRawPointer.allocate(byteCount: stackSize, alignment: 16)
    defer {
        stack.deallocate()
        pair.deallocate()
    }
    (pair[1].stack_low, pair[1].stack_high) = (stack, stack + stackSize)
    // Both know each other by their places: the second one's record is what its entry is given.
    green_first_frame(pair + 1) { second in
        let second = second!.assumingMemoryBound(to: green_thread.self)
        leave(second, for: second - 1, times: .max)
        return second - 1
    }
    let running = green_running()
    leave(pair, for: pair + 1, times: count / 2)
    green_set_running(running)
}

private let stackSize = 16 << 10

/// As GreenNet does.
@inline(never)
private func leave(_ from: UnsafeMutablePointer<green_thread>, for to: UnsafeMutablePointer<green_thread>, times: Int) {
    for _ in 0..<times {
        green_set_running(to)
        green_switch(from, to)
    }
}
