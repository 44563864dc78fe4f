import ProgramKit

extension Double {
    /// With `count` digits after the point; "-" where it is no number.
    func decimals(_ count: Int) -> String {
        isFinite && magnitude < 1e15 ? fixed(count) : "-"
    }
}
