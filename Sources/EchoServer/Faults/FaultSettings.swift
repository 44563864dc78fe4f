import GreenNet
import ProgramKit

/// Faults on purpose: rules for some connections, and a plan for all others.
struct FaultSettings: Equatable, Sendable {
    var plan = FaultPlan.none
    /// The first that fits counts.
    var rules: [FaultRule] = []
    /// Nil for another one at each start.
    var seed: Int?

    var areNone: Bool { plan == .none && rules.isEmpty }

    static let all: [Setting] =
        FaultField.all.map { field in
            Setting(
                field.name, field.rule, set: { field.set(&$0.faults.plan, $1) }, show: { field.show($0.faults.plan) })
        } + [
            Setting(
                "fault", \.faults.rules, FaultRule.rule, parse: { FaultRule.rules($0) }, reason: FaultRule.reason,
                show: { $0.isEmpty ? "none" : $0.map { "\($0)" }.joined(separator: ";") }),
            Settings.optional(\.faults.seed, NumericOptions.Server.faultSeed),
        ]
}
