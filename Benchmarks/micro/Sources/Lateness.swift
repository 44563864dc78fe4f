import GreenNet

/// A line for each length: `length TAB median lateness in microseconds`.
func printLateness() {
    for length in [10, 100, 500, 1500, 5000, 20_000] {
        let late = (0..<201).map { _ in
            let start = Deadline.now
            try! Greenlet.sleep(for: .microseconds(length))
            return (Deadline.now - start) - .microseconds(length)
        }
        print("\(length) us\t\(late.sorted()[100] / .microseconds(1))")
    }
}
