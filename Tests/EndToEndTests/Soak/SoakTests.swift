import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// All kinds of clients at once, while children are killed.  `make soak SOAK_MINUTES=10` runs this for ten minutes with each model.
    @Suite(.serialized) struct SoakTests {
        private static let options = [
            "--admin", "127.0.0.1:0", "--idle-timeout", "\(Duration.patient(4).components.seconds)", "--write-timeout",
            "\(Duration.patient(2).components.seconds)",
        ]

        @Test(arguments: Soak.Plan.models)
        func `after a mix of clients and kills, descriptors, threads, children and memory are as at the start`(
            model: ServerModel
        ) throws {
            let plan = Soak.Plan.asked
            try withServer(model, SoakTests.options, limit: plan.length + .seconds(120)) { server in
                let record = try Soak(server, plan).run()
                print(record.text)
                try SoakPage(record).writeWhereAsked()
                record.expectNothingLeft()
                record.expectCountsToAddUp()
            }
        }
    }
}
