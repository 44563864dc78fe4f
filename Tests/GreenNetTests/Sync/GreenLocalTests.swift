import TestSupport
import Testing

@testable import GreenNet

struct GreenLocalTests {
    @Test func `every green thread has its own`() throws {
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

    @Test func `the first value is made anew in each, when it is asked for`() throws {
        try onHub {
            var made = 0
            func make() -> FailureObject {
                made += 1
                return FailureObject()
            }
            let local = GreenLocal(make())
            #expect(made == 0)
            let own = local.value
            #expect(local.value === own)
            try spawn { #expect(local.value !== own) }.value()
            #expect(made == 2)
        }
    }

    @Test func `values go with their green thread, though that is still referred to`() throws {
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
                #expect(local.count == 0)
            }
        }
    }

    @Test func `values go with the variable, though the green thread runs on`() throws {
        try onHub {
            for _ in 0..<100 {
                weak var value: FailureObject?
                do {
                    let local = GreenLocal<FailureObject?>(nil)
                    let object = FailureObject()
                    value = object
                    local.value = object
                }
                #expect(value == nil)
            }
        }
    }

    @Test func `a killed one loses its values too, and the main one at the end of the hub`() throws {
        let local = try onOSThread { () -> Int in
            let local = GreenLocal(0)
            local.value = 1
            let killed = spawn {
                local.value = 2
                try Greenlet.sleep(until: .never)
            }
            try Greenlet.yield()
            killed.kill()
            try killed.join()
            #expect(local.count == 1)
            Hub.current.close()
            return local.count
        }
        #expect(local == 0)
    }
}
