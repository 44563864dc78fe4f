import GreenNet
import ProgramKit

/// Which connections get a plan: `10.0.0.0/8=delay:0.1,reset-after:1K` or `10%=stall`.
struct FaultRule: Equatable, Sendable {
    let scope: Scope
    let plan: FaultPlan
    private let text: String

    enum Scope: Equatable, Sendable {
        /// Clients with these addresses.
        case network(AddressRanges)
        /// A share of all connections, from 0 to 1, at random.
        case share(Double)
    }

    static let rule =
        "CIDR=FAULT or PERCENT%=FAULT, with faults such as delay:0.1,reset-after:1K or stall; several rules have semicolons between them"

    /// The rules of a text, one behind the other with semicolons between them; nil where one makes no sense.
    static func rules(_ text: String) -> [FaultRule]? {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        let rules = parts.compactMap { FaultRule($0) }
        return rules.count == parts.count ? rules : nil
    }

    /// Why a text has no rules; nil where it has.
    @Sendable
    static func reason(_ text: String) -> String? {
        let wrong = text.split(separator: ";", omittingEmptySubsequences: false).first { FaultRule($0) == nil }
        guard let wrong, let equals = wrong.firstIndex(of: "=") else { return nil }
        if Scope(wrong[..<equals]) == nil { return "'\(wrong[..<equals])' is no network and no share" }
        let faults = wrong[wrong.index(after: equals)...].split(separator: ",", omittingEmptySubsequences: false)
        let fault = faults.first { plan(of: [$0]) == nil } ?? ""
        let field = FaultField.all.first { $0.name == fault.prefix { $0 != ":" } }
        return field.map { "'\(fault)': \($0.name) takes \($0.rule)" } ?? "there is no fault '\(fault)'"
    }

    private init?(_ text: Substring) {
        guard let equals = text.firstIndex(of: "="), let scope = Scope(text[..<equals]) else { return nil }
        let faults = text[text.index(after: equals)...].split(separator: ",", omittingEmptySubsequences: false)
        guard let plan = FaultRule.plan(of: faults) else { return nil }
        (self.scope, self.plan, self.text) = (scope, plan, String(text))
    }

    /// Nil where a fault is not known, or has no such value.  A fault without a value is one that is done or not.
    private static func plan(of faults: [Substring]) -> FaultPlan? {
        var plan = FaultPlan()
        for fault in faults {
            let parts = fault.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let field = FaultField.all.first(where: { $0.name == parts[0] }),
                field.set(&plan, parts.count == 1 ? "yes" : String(parts[1]))
            else { return nil }
        }
        return plan
    }
}

extension FaultRule: CustomStringConvertible {
    var description: String { text }
}

extension FaultRule.Scope {
    fileprivate init?(_ text: Substring) {
        if text.hasSuffix("%") {
            let option = NumericOptions.Server.faultPercent
            guard let percent = option.value(of: String(text.dropLast())) else { return nil }
            self = .share(percent / 100)
        } else {
            guard let ranges = AddressRanges(String(text)) else { return nil }
            self = .network(ranges)
        }
    }
}
