import GreenNet
import TestSupport
import Testing

/// Swift checks that no code touches a property while other code modifies it, and counts all green threads of an OS thread as one.
struct ExclusivityTests {
    @Test func `waiting inside a modification of a property that another green thread touches stops the program`()
        async throws
    {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let account = Account()
                spawn { try addAfterYield(to: &account.balance) }
                spawn { account.balance += 1 }
                try Hub.current.run()
            }.value()
        }
        #expect(result.standardError.contains("Simultaneous accesses"))
    }

    @Test func `reading the property meanwhile stops the program too`() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try TestThread {
                let account = Account()
                spawn { try addAfterYield(to: &account.balance) }
                let reader = spawn { account.balance }
                _ = try reader.value()
            }.value()
        }
        #expect(result.standardError.contains("Simultaneous accesses"))
    }

    @Test func `taking the value out, waiting, and putting it back is fine`() throws {
        try onHub {
            let account = Account()
            for _ in 0..<10 {
                spawn {
                    var balance = account.balance
                    try addAfterYield(to: &balance)
                    account.balance = balance
                }
            }
            try Hub.current.run()
            // Each has missed what the others did meanwhile, which is a mistake of another kind.
            #expect(account.balance == 1)
        }
    }

    @Test func `accesses that begin and end while others are parked are fine`() throws {
        try onHub {
            let account = Account()
            for _ in 0..<10 {
                spawn {
                    for _ in 0..<10 {
                        account.balance += 1
                        try Greenlet.yield()
                    }
                }
            }
            try Hub.current.run()
            #expect(account.balance == 100)
        }
    }

    @Test func `modifications of different properties may overlap, and end in any order`() throws {
        try onHub {
            let accounts = (0..<4).map { _ in Account() }
            // The first to begin is the first to end, where calls would end the other way round.
            for account in accounts { spawn { try addAfterYield(to: &account.balance) } }
            spawn { try addAfterYield(to: &accounts[0].debts) }
            try Hub.current.run()
            for account in accounts { #expect(account.balance == 1) }
            #expect(accounts[0].debts == 1)
        }
    }

    @Test func `a property can be touched once the modification that waited is over`() throws {
        try onHub {
            let account = Account()
            let modifier = spawn { try addAfterYield(to: &account.balance) }
            try modifier.join()
            account.balance += 1
            #expect(account.balance == 2)
        }
    }

    @Test func `a modification that was killed is over`() throws {
        try onHub {
            let account = Account()
            let modifier = spawn { try addAfterYield(to: &account.balance) }
            try Greenlet.yield()
            modifier.kill()
            try modifier.join()
            account.balance += 1
            #expect(account.balance == 1)
        }
    }
}

private class Account {
    var balance = 0
    var debts = 0
}

@inline(never)
private func addAfterYield(to value: inout Int) throws(WaitError) {
    try Greenlet.yield()
    value += 1
}
