import Glibc
import GreenNet

/// A call that returns at once, on another OS thread, and the next when it has returned.
func offloadOneByOne(_ count: Int) {
    var sum = 0
    for number in 0..<count { sum &+= try! Hub.current.offload { number } }
    precondition(sum == count * (count - 1) / 2)
}

/// What the system takes for the same: a number goes to another OS thread and comes back, with a mutex and two condition variables.
func passBarely(_ count: Int) {
    let exchange = Exchange(count)
    var thread = pthread_t()
    let number = pthread_create(&thread, nil, exchangeMain, Unmanaged.passUnretained(exchange).toOpaque())
    precondition(number == 0)
    for number in 0..<count { precondition(exchange.ask(number) == number) }
    pthread_join(thread, nil)
}

// Guarded by `lock`.
private final class Exchange: @unchecked Sendable {
    private let count: Int
    private var question: Int?
    private var answer: Int?
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let asked = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let answered = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ count: Int) {
        self.count = count
        pthread_mutex_init(lock, nil)
        pthread_cond_init(asked, nil)
        pthread_cond_init(answered, nil)
    }

    deinit {
        lock.deallocate()
        asked.deallocate()
        answered.deallocate()
    }

    func ask(_ number: Int) -> Int {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        question = number
        pthread_cond_signal(asked)
        while answer == nil { pthread_cond_wait(answered, lock) }
        defer { answer = nil }
        return answer!
    }

    func serve() {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        for _ in 0..<count {
            while question == nil { pthread_cond_wait(asked, lock) }
            (question, answer) = (nil, question)
            pthread_cond_signal(answered)
        }
    }
}

private let exchangeMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { exchange in
    Unmanaged<Exchange>.fromOpaque(exchange!).takeUnretainedValue().serve()
    return nil
}
