import Glibc
import GreenNet
import ProgramKit

/// One figure against the number of connections, as SVG.  Colours and shapes are the page's: series 3 has class `s3`.
struct Plot {
    struct Point {
        let x: Double
        let y: Double
        /// The least and the greatest of the rounds.
        let range: ClosedRange<Double>
    }

    struct Series {
        let name: String
        let number: Int
        let points: [Point]
    }

    let title: String
    let series: [Series]
    /// Where points lie.
    let xs: [Double]
    /// Nil where the values begin at 0; else they are in powers of ten, times this.
    let logarithmicUnit: Double?
    let text: (Double) -> String
    let tick: (Double) -> String

    private static let (width, height) = (520.0, 300.0)
    private static let (left, right, top, bottom) = (78.0, 14.0, 14.0, 44.0)

    var svg: String {
        let parts = [gridLines, xAxis] + series.map { draw($0) }
        return """
            <svg viewBox="0 0 \(Int(Plot.width)) \(Int(Plot.height))" role="img" aria-label="\(HTML.escaped(title))">
            \(parts.joined(separator: "\n"))
            </svg>
            """
    }

    // MARK: Places

    /// Where the axis begins and ends, and its ticks.
    private var scale: (low: Double, high: Double, ticks: [Double]) {
        let points = series.flatMap(\.points)
        let values = points.flatMap { [$0.range.lowerBound, $0.range.upperBound] }.filter { $0 > 0 }
        guard let least = values.min(), let greatest = values.max() else { return (0.1, 1, [0.1, 1]) }
        if let unit = logarithmicUnit { return Plot.decades(least, greatest, unit) }
        let ticks = Plot.steps(greatest)
        return (0, ticks.last!, ticks)
    }

    /// From one round number to another, with a tick at each power of ten; at each round number, where that would be too few.
    private static func decades(_ least: Double, _ greatest: Double, _ unit: Double) -> (Double, Double, [Double]) {
        let (first, last) = (Int(floor(log10(least / unit))), Int(ceil(log10(greatest / unit))))
        let round = (first...last).flatMap { power in [1, 2, 5].map { $0 * pow(10, Double(power)) * unit } }
        let low = round.last { $0 <= least } ?? round[0]
        let high = round.first { $0 >= greatest && $0 > low } ?? round.last!
        let inside = round.filter { (low...high).contains($0) }
        let powers = inside.filter { abs(log10($0 / unit) - log10($0 / unit).rounded()) < 0.01 }
        return (low, high, powers.count > 1 ? powers : inside)
    }

    /// Round numbers from 0 to above `greatest`.
    private static func steps(_ greatest: Double) -> [Double] {
        let rough = greatest / 4
        let power = pow(10, floor(log10(rough)))
        let step = [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= rough }!
        return (0...Int(ceil(greatest / step))).map { Double($0) * step }
    }

    private func x(_ value: Double) -> Double {
        let (low, high) = (log10(xs.min()!), log10(xs.max()!))
        let share = high > low ? (log10(value) - low) / (high - low) : 0.5
        // Some air at both ends.
        return Plot.left + 14 + share * (Plot.width - Plot.left - Plot.right - 28)
    }

    private func y(_ value: Double) -> Double {
        let scale = scale
        let share =
            logarithmicUnit == nil
            ? value / scale.high : log10(max(value, scale.low) / scale.low) / log10(scale.high / scale.low)
        return Plot.height - Plot.bottom - share * (Plot.height - Plot.top - Plot.bottom)
    }

    // MARK: Lines

    private var gridLines: String {
        scale.ticks.map { value in
            let height = y(value).fixed(1)
            return """
                <line class="grid" x1="\(Plot.left.fixed(0))" x2="\((Plot.width - Plot.right).fixed(0))" y1="\(height)" y2="\(height)"/>\
                <text class="tick" x="\((Plot.left - 8).fixed(0))" y="\((y(value) + 4).fixed(1))" text-anchor="end">\
                \(HTML.escaped(tick(value)))</text>
                """
        }.joined(separator: "\n")
    }

    private var xAxis: String {
        let labels = xs.map { value in
            let below = (Plot.height - Plot.bottom + 18).fixed(1)
            return
                "<text class=\"tick\" x=\"\(x(value).fixed(1))\" y=\"\(below)\" text-anchor=\"middle\">\(Int(value).grouped)</text>"
        }
        let middle = ((Plot.left + Plot.width - Plot.right) / 2).fixed(1)
        return labels.joined(separator: "\n")
            + "<text class=\"tick\" x=\"\(middle)\" y=\"\((Plot.height - 6).fixed(1))\" text-anchor=\"middle\">connections</text>"
    }

    private func draw(_ series: Series) -> String {
        let places = series.points.map { "\(x($0.x).fixed(1)),\(y($0.y).fixed(1))" }.joined(separator: " ")
        let marks = series.points.map { point in
            let (across, up) = (x(point.x), y(point.y))
            let whisker = """
                <line class="whisker" x1="\(across.fixed(1))" x2="\(across.fixed(1))" y1="\(y(point.range.lowerBound).fixed(1))" \
                y2="\(y(point.range.upperBound).fixed(1))"/>
                """
            let label = "\(series.name), \(Int(point.x).grouped) connections: \(text(point.y))"
            return
                "\(whisker)<g class=\"mark\">\(Plot.mark(series.number, across, up))<title>\(HTML.escaped(label))</title></g>"
        }
        return "<g class=\"s\(series.number)\"><polyline points=\"\(places)\"/>\(marks.joined())</g>"
    }

    /// A shape for each series, so that colour is not all that tells them apart.
    static func mark(_ number: Int, _ x: Double, _ y: Double) -> String {
        func path(_ corners: [(Double, Double)]) -> String {
            let places = corners.map { "\((x + $0.0).fixed(1)),\((y + $0.1).fixed(1))" }.joined(separator: " ")
            return "<polygon points=\"\(places)\"/>"
        }
        return switch number % 4 {
        case 0: "<circle cx=\"\(x.fixed(1))\" cy=\"\(y.fixed(1))\" r=\"4.5\"/>"
        case 1: path([(-4.2, -4.2), (4.2, -4.2), (4.2, 4.2), (-4.2, 4.2)])
        case 2: path([(0, -5.5), (5.2, 4), (-5.2, 4)])
        default: path([(0, -6), (6, 0), (0, 6), (-6, 0)])
        }
    }
}

enum HTML {
    static func escaped(_ text: String) -> String {
        text.exchanging("&", for: "&amp;").exchanging("<", for: "&lt;").exchanging(">", for: "&gt;")
            .exchanging("\"", for: "&quot;")
    }
}
