extension String {
    /// A dump without how long each has waited already, which no two runs have in common.
    var withoutAges: String { replacing(#/ since \d+\.\d s ago/#, with: "") }
}
