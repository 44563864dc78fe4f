import GreenNet

extension ConnectionService {
    /// Whether `fault` is to refuse the connection, by chance: its owner's close resets it then.
    func refuses(_ connection: Connection, _ fault: Fault) -> Bool {
        // Of its own: the next choice would otherwise begin with the number that this one has used.
        var random = fault.refusals
        guard let probability = fault.plan.refuse, random.happens(probability) else { return false }
        counters.add(to: .faultsRefused)
        connection.resetsWhenClosed()
        return true
    }
}
