extension String {
    /// A dump without how long each has waited already, which no two runs have in common.
    var withoutAges: String { replacing(#/, for \d+\.\d s so far/#, with: "") }
}
