import TestSupport
import Testing

@testable import GreenNet

struct GreenLocalTests {
    @Test func `every green thread has its own value`() throws {
        try onHub {
            let local = GreenLocal(0)
            local.value = 1
            let others = (2..<5).map { number in
                spawn {
                    #expect(local.value == 0)
                    local.value = number
                    try Greenlet.yield()
                    local.value += 10
                    return local.value
                }
            }
            for (other, expected) in zip(others, [12, 13, 14]) { try #expect(other.value() == expected) }
            #expect(local.value == 1)
        }
    }

    @Test func `the initial value is made in each green thread, at the first read`() throws {
        try onHub {
            let made = RemoteResult<Void>()
            @Sendable func make() -> FailureObject {
                made.set(())
                return FailureObject()
            }
            let local = GreenLocal(make())
            #expect(!made.isSet)
            let own = local.value
            #expect(local.value === own)
            try spawn { #expect(local.value !== own) }.value()
        }
    }

    @Test func `values are released when their green thread ends, even if its handle is kept`() throws {
        try onHub {
            let local = GreenLocal<FailureObject?>(nil)
            for _ in 0..<100 {
                weak var value: FailureObject?
                let greenlet = spawn {
                    let object = FailureObject()
                    value = object
                    local.value = object
                }
                try greenlet.join()
                #expect(value == nil)
            }
        }
    }

    @Test func `values of a variable that is gone are released when the green thread uses another`() throws {
        try onHub {
            weak var value: FailureObject?
            do {
                let local = GreenLocal<FailureObject?>(nil)
                let object = FailureObject()
                value = object
                local.value = object
            }
            GreenLocal(0).value = 1
            #expect(value == nil)
            #expect(Greenlet.current.locals.count == 1)
        }
    }

    @Test func `the deinit of an old value may use the variable`() throws {
        try onHub {
            final class Tracer {
                let local: GreenLocal<AnyObject?>
                init(_ local: GreenLocal<AnyObject?>) { self.local = local }
                deinit { local.value = FailureObject() }
            }
            let local = GreenLocal<AnyObject?>(nil)
            local.value = Tracer(local)
            local.value = nil
            #expect(local.value is FailureObject)
        }
    }

    @Test func `a killed green thread loses its values, and the main one at the end of the hub`() throws {
        try onOSThread {
            let local = GreenLocal<FailureObject?>(nil)
            weak var own: FailureObject?
            weak var others: FailureObject?
            func keep() -> FailureObject {
                let object = FailureObject()
                local.value = object
                return object
            }
            own = keep()
            let killed = spawn {
                others = keep()
                try Greenlet.sleep(until: .never)
            }
            try Greenlet.yield()
            #expect(own != nil && others != nil)
            killed.kill()
            try killed.join()
            #expect(own != nil && others == nil)
            Hub.current.close()
            #expect(own == nil)
        }
    }

    // MARK: As a static

    private static let number = GreenLocal(0)

    @Test func `a static let has a value in each green thread of each OS thread`() throws {
        try onHub {
            GreenLocalTests.number.value = 1
            let elsewhere = try Hub.current.offload {
                GreenLocalTests.number.value += 5
                return try spawn { GreenLocalTests.number.value }.value() * 100 + GreenLocalTests.number.value
            }
            #expect(elsewhere == 5)
            #expect(GreenLocalTests.number.value == 1)
        }
    }
}
