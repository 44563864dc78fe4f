import ArgumentParser

/// What a service is expected to do with what it is sent.
enum ExpectedTransform: String, ExpressibleByArgument, CaseIterable {
    case upper, echo, any

    func explains(_ answer: [UInt8], to question: [UInt8]) -> Bool {
        switch self {
        case .upper: answer == question.map(\.uppercased)
        case .echo: answer == question
        case .any: answer == question || answer == question.map(\.uppercased)
        }
    }
}

extension UInt8 {
    /// Only ASCII letters have another case.
    var uppercased: UInt8 { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) ? self - 32 : self }
}
