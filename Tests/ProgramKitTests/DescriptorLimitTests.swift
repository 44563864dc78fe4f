import GreenNet
import TestSupport
import Testing

@testable import ProgramKit

struct DescriptorLimitTests {
    @Test func `the soft limit can be set up to the hard one, and raised to it`() async throws {
        // In a process of its own, since other tests run meanwhile.
        await #expect(processExitsWith: .success) {
            let most = DescriptorLimit.most
            try DescriptorLimit.set(50)
            #expect(DescriptorLimit.current == 50)
            #expect(DescriptorLimit.most == most)
            #expect(DescriptorLimit.raise() == most)
            #expect(DescriptorLimit.current == most)
        }
    }
}
