import GreenNet

extension ConnectionService {
    /// Whether `fault` is to refuse the connection, by chance: its owner's close resets it then.
    func refuses(_ connection: Connection, _ fault: Fault) -> Bool {
        var random = fault.random
        guard let probability = fault.plan.refuse, random.happens(probability) else { return false }
        counters.add(to: .faultsRefused)
        connection.resetsWhenClosed()
        return true
    }
}
