import GreenNet

// A step is a call: to the coroutine and back, two switches.

func takeFromGenerator(_ count: Int) {
    let numbers = Generator<Int, Void> { out in for number in 0... { _ = try out.yield(number) } }
    for number in 0..<count { precondition(try! numbers.next() == number) }
}

func sendToGenerator(_ count: Int) {
    let sums = Generator<Int, Int> { out in
        var sum = 0
        while true { sum += try out.yield(sum) ?? 0 }
    }
    _ = try! sums.next()
    for number in 1...count { precondition(try! sums.send(1) == number) }
}

func switchFibers(_ count: Int) {
    let main = Fiber<Int>.current
    let other = Fiber<Int> { first in
        var value = first
        while true { value = try main.switchTo(value + 1) }
    }
    var value = 0
    for _ in 0..<count { value = try! other.switchTo(value) }
    precondition(value == count)
}
