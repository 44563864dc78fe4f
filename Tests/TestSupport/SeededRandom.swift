import GreenNet

/// The same numbers in every run, so that a failure repeats.
package typealias SeededRandom = SplitMix
