import GreenNet

/// The same numbers in every run, so that what failed once fails again.
package typealias SeededRandom = SplitMix
