import GreenNet
import ProgramKit

/// One part of a plan: its name, which is that of the option, the values that it takes, and how a value is shown.
struct FaultField: Sendable {
    let name: String
    let rule: String
    /// False where the text is not such a value.
    let set: @Sendable (inout FaultPlan, String) -> Bool
    let show: @Sendable (FaultPlan) -> String

    private init<Value>(
        _ name: String, _ path: WritableKeyPath<FaultPlan, Value?> & Sendable, _ rule: String,
        _ parse: @escaping @Sendable (String) -> Value?, _ show: @escaping @Sendable (Value) -> String = { "\($0)" }
    ) {
        (self.name, self.rule) = (name, rule)
        set = { plan, text in
            guard let value = parse(text) else { return false }
            plan[keyPath: path] = value
            return true
        }
        self.show = { $0[keyPath: path].map(show) ?? "none" }
    }

    /// Something that is done, or not.
    private init(_ name: String, _ path: WritableKeyPath<FaultPlan, Bool> & Sendable) {
        (self.name, rule) = (name, "yes or no")
        set = { plan, text in
            guard text == "yes" || text == "no" else { return false }
            plan[keyPath: path] = text == "yes"
            return true
        }
        show = { $0[keyPath: path] ? "yes" : "no" }
    }

    static let all = [
        time("delay", \.delay), time("jitter", \.jitter),
        FaultField(
            "bandwidth", \.bandwidth, "a rate of 1 to \(ByteAmount.largest) bytes a second, K to Gi allowed",
            { ByteAmount.value(of: $0).flatMap { $0 == 0 ? nil : $0 } }),
        FaultField("reset-after", \.resetAfter, FaultPlan.Limit.rule, { FaultPlan.Limit($0) }),
        FaultField("close-after", \.closeAfter, FaultPlan.Limit.rule, { FaultPlan.Limit($0) }),
        FaultField("truncate", \.truncate, ByteAmount.rule, { ByteAmount.value(of: $0) }),
        probability("corrupt", \.corrupt), FaultField("stall", \.stalls), probability("refuse", \.refuse),
    ]

    private static func time(_ name: String, _ path: WritableKeyPath<FaultPlan, Duration?> & Sendable) -> FaultField {
        let option = NumericOptions.Server.faultDelay
        return FaultField(name, path, option.rule, { option.value(of: $0) }, { $0.optionText })
    }

    private static func probability(
        _ name: String, _ path: WritableKeyPath<FaultPlan, Double?> & Sendable
    ) -> FaultField {
        let option = NumericOptions.Server.faultProbability
        return FaultField(name, path, option.rule, { option.value(of: $0) }, { $0.optionText })
    }
}
