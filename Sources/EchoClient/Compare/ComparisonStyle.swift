/// How the page looks, in light and in dark.
enum ComparisonStyle {
    /// Distinct also for readers who see fewer colours, on the background of each scheme.
    private static let light = ["#0b62c4", "#0e8a7d", "#c2410c", "#b7791f", "#8b2fc9", "#be185d", "#4d7c0f", "#57534e"]
    private static let dark = ["#6cb2ff", "#4fd1c0", "#ff9a62", "#f0c555", "#c99bff", "#ff86b6", "#a9d65c", "#b8b2ab"]

    static var css: String {
        """
        :root { --page: #ffffff; --text: #1c2024; --soft: #5b636b; --line: #d9dee3; --panel: #f6f8fa; --best: #e3f4e6; \(colours(light)) }
        @media (prefers-color-scheme: dark) {
        :root { --page: #14171a; --text: #e6e9ec; --soft: #9aa4ae; --line: #343b42; --panel: #1c2126; --best: #1d3b26; \(colours(dark)) }
        }
        \(rules)
        \(light.indices.map { ".s\($0) { --own: var(--c\($0)); }" }.joined(separator: "\n"))
        """
    }

    private static func colours(_ colours: [String]) -> String {
        colours.enumerated().map { "--c\($0): \($1);" }.joined(separator: " ")
    }

    private static let rules = """
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
        main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 60px; }
        h1 { font-size: 30px; line-height: 1.2; margin: 0 0 12px; }
        h2 { font-size: 20px; margin: 36px 0 10px; }
        h3 { font-size: 16px; margin: 22px 0 6px; }
        p { max-width: 78ch; margin: 0 0 12px; }
        .lead { font-size: 17px; }
        .findings { max-width: 84ch; margin: 18px 0; padding: 14px 20px 14px 36px; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; }
        .findings li + li { margin-top: 6px; }
        .legend { list-style: none; padding: 0; margin: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 8px 28px; }
        .legend li { display: flex; gap: 12px; align-items: flex-start; font-size: 15px; }
        .legend svg { flex: none; width: 36px; height: 18px; margin-top: 3px; }
        .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 20px; }
        figure { margin: 0; padding: 14px 16px 8px; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; display: flex; flex-direction: column; }
        figcaption { font-size: 14px; color: var(--soft); margin-bottom: 8px; flex: 1; }
        figcaption b { color: var(--text); font-size: 16px; }
        figcaption span { font-size: 13px; margin-left: 6px; }
        figure svg { width: 100%; height: auto; display: block; }
        .grid { stroke: var(--line); stroke-width: 1; }
        .tick { fill: var(--soft); font-size: 12.5px; }
        polyline { fill: none; stroke: var(--own); stroke-width: 2; stroke-linejoin: round; }
        .key { stroke: var(--own); stroke-width: 2; }
        .whisker { stroke: var(--own); stroke-width: 1; opacity: .6; }
        .mark { fill: var(--own); stroke: var(--panel); stroke-width: 1.2; }
        .note { color: var(--soft); font-size: 14px; margin-top: 10px; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; width: 100%; }
        th, td { padding: 5px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
        thead th { color: var(--soft); font-weight: 600; }
        th:first-child { text-align: left; font-weight: 600; }
        th i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 8px; background: var(--own); }
        .best { background: var(--best); }
        .reason { text-align: left; color: var(--soft); white-space: normal; }
        .command { overflow-x: auto; }
        code { font: 14px ui-monospace, monospace; background: var(--panel); border: 1px solid var(--line); border-radius: 5px; padding: 3px 7px; white-space: nowrap; }
        """
}
