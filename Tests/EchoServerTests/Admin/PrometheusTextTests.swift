import Testing

@testable import EchoServer

@Suite struct PrometheusTextTests {
    @Test func `a family has its help, its kind, and a line for each sample`() {
        var text = PrometheusText()
        text.add(.counter, "a_total", "How many.", 3)
        text.add(.gauge, "b", "How much.", [(["x": "1", "y": "z"], "0.5"), (["x": "2"], "1")])
        #expect(
            text.text == """
                # HELP a_total How many.
                # TYPE a_total counter
                a_total 3
                # HELP b How much.
                # TYPE b gauge
                b{x="1",y="z"} 0.5
                b{x="2"} 1

                """)
    }

    @Test func `the value of a label is escaped`() {
        var text = PrometheusText()
        text.add(.gauge, "a", "x", [(["l": "\"\\\n"], "1")])
        #expect(text.text.hasSuffix("a{l=\"\\\"\\\\\\n\"} 1\n"))
    }
}
