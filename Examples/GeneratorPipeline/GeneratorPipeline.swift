// Prime twins, from a pipeline of generators that never ends.
//
// Shows generators that feed each other: each is a plain loop, which goes on only when its next value is asked for.  A generator that is dropped unwinds by
// itself.
//
//     swift run GeneratorPipeline

import GreenNet

typealias Numbers = Generator<Int, Void>

@main struct GeneratorPipeline {
    static func main() throws {
        let pairs = twins(primes())
        for _ in 0..<8 { print(try pairs.next()!) }
    }

    /// 2, 3, 4, 5, ...
    static func integers() -> Numbers {
        Numbers { out in for number in 2... { try out.yield(number) } }
    }

    /// Those of `source` that `divisor` doesn't divide.
    static func sieve(_ source: Numbers, by divisor: Int) -> Numbers {
        Numbers { out in
            while let number = try source.next() {
                if !number.isMultiple(of: divisor) { try out.yield(number) }
            }
        }
    }

    /// Eratosthenes: with each prime, one more sieve follows the others.
    static func primes() -> Numbers {
        Numbers { out in
            var rest = integers()
            while let prime = try rest.next() {
                try out.yield(prime)
                rest = sieve(rest, by: prime)
            }
        }
    }

    /// Neighbours that are two apart.
    static func twins(_ primes: Numbers) -> Generator<String, Void> {
        Generator { out in
            var last = try primes.next() ?? 0
            while let prime = try primes.next() {
                if prime - last == 2 { try out.yield("\(last) and \(prime)") }
                last = prime
            }
        }
    }
}
