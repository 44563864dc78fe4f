import GreenNet

extension FuzzTarget {
    /// A list of places is either refused with words, or gives the same places where it is put together again, each with settings that can be shown; and what goes to
    /// other processes comes back as it was.
    static func readPlaces(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let entries = try? ListenEntry.entries(text) else {
            precondition(ListenEntry.reason(text)?.isEmpty == false, "refused without a reason")
            return
        }
        precondition(ListenEntry.reason(text) == nil && (1...ListenEntry.mostEntries).contains(entries.count))
        precondition(entries.map(\.text).joined(separator: ",") == text, "a part of the list is lost")
        for entry in entries {
            let settings = entry.settings(Settings())
            for setting in Settings.all { _ = setting.show(settings) }
            precondition((try? ListenEntry.entries(entry.text))?.map(\.endpoint) == [entry.endpoint])
            let words = ListenerProfiles([.init(address: .loopback(port: 7), entry: entry)]).words
            precondition(ListenerProfiles(words)?.words.map(\.text) == words.map(\.text), "words do not come back")
        }
    }

    /// Rules of faults are either refused, with a reason where there is one to find, or read again as the same rules.
    static func readFaults(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let rules = FaultRule.rules(text) else {
            _ = FaultRule.reason(text)
            return
        }
        precondition(FaultRule.rules(rules.map(\.description).joined(separator: ";")) == rules)
        for rule in rules {
            if case .share(let share) = rule.scope { precondition((0...1).contains(share)) }
            precondition((rule.plan.bandwidth ?? 1) > 0 && (0...1).contains(rule.plan.corrupt ?? 0))
            precondition((0...1).contains(rule.plan.refuse ?? 0) && (rule.plan.delay ?? .zero) >= .zero)
        }
    }
}
