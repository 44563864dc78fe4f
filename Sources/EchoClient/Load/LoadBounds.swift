import ProgramKit

/// What no single option shows: how much several of them make together.
extension LoadPlan {
    private typealias Limits = NumericOptions.Client

    /// Why it is more than the client takes on, in a sentence; nil where it is not.  `processes` are those that were asked for.
    func complaint(processes: Int?) -> String? { flightComplaint ?? descriptorComplaint(processes) }

    /// Of the messages that are under way at the same moment.
    private var flightComplaint: String? {
        let messages = connections * depth
        let each = "\(connections) connections with \(depth) messages in flight"
        if messages > Limits.mostInFlight {
            return
                "\(each) are \(messages) messages, and must be at most \(Limits.mostInFlight): lower --connections or --depth."
        }
        // Neither factor is above ten million and a GiB: the product fits.
        if messages * size > Limits.mostBytesInFlight {
            return """
                \(each) of \(size) bytes are \(messages * size) bytes, and must be at most \(Limits.mostBytesInFlight): \
                lower --connections, --depth or --size.
                """
        }
        return nil
    }

    private func descriptorComplaint(_ asked: Int?) -> String? {
        let each = DescriptorLimit.connections
        let needed = (connections + each - 1) / each
        let processes = asked ?? needed
        if needed > processes {
            return
                "--connections \(connections) takes \(needed) processes of \(each) connections each at this descriptor limit: --processes \(processes) is too few."
        }
        if !Limits.processes.range.contains(processes) {
            return """
                --connections \(connections) takes \(needed) processes of \(each) connections each at this descriptor limit, and \
                \(Limits.processes.range.upperBound) is the most: raise the descriptor limit (ulimit -n) or lower --connections.
                """
        }
        if processes * threads > Limits.mostThreads {
            return
                "\(processes) processes of \(threads) OS threads are \(processes * threads), and must be at most \(Limits.mostThreads)."
        }
        return nil
    }
}
