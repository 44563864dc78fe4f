// Bakers bake loaves, customers buy them, and the shelf between them has room for four.
//
// Shows `GreenQueue`: `put` waits while the queue is full, `next` waits while it is empty, and the green thread that has waited longest is served first.  After
// `shutDown`, the queue gives out the items that are left, and then `next` returns nil.  Each loaf is sold exactly once.
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
            // All is baked: the inner group has ended.  The outer group goes on until all is sold.
            shelf.shutDown()
        }
        print("sold: \(sold.values.reduce(0, +))")
    }
}
