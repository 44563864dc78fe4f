// Bakers bake loaves, customers buy them, and the shelf between them has room for four.
//
// Shows `GreenQueue`: who puts into a full one waits, who takes from an empty one waits, whoever has waited longest is served first; shut down, it gives
// what is left and then ends the loops of those who take.  No bread is lost, and none is sold twice.
//
//     swift run ProducersAndConsumers

import GreenNet

@main struct ProducersAndConsumers {
    static func main() throws {
        let shelf = GreenQueue<String>(limit: 4)
        var sold: [String: Int] = [:]
        try withGreenGroup { shop in
            for customer in ["Ann", "Ben"] {
                shop.spawn(name: customer) {
                    while let loaf = try shelf.next() {
                        print("\(customer) buys \(loaf)")
                        sold[customer, default: 0] += 1
                        try Greenlet.sleep(for: .milliseconds(3))
                    }
                }
            }
            try withGreenGroup { bakery in
                for baker in ["rye", "wheat", "spelt"] {
                    bakery.spawn(name: baker) {
                        for number in 1...4 {
                            try Greenlet.sleep(for: .milliseconds(1))
                            try shelf.put("\(baker) \(number)")
                        }
                    }
                }
            }
            // All is baked: the inner group has ended.  The outer one goes on until all is sold.
            shelf.shutDown()
        }
        print("sold: \(sold.values.reduce(0, +))")
    }
}
