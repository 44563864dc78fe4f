import Testing

@testable import EchoBench

struct AdminPageTests {
    private let page = """
        HTTP/1.0 200 OK

        # TYPE echo_server_connections gauge
        echo_server_connections{state="open"} 7
        echo_server_connections{state="waiting"} 0
        echo_server_connections_total 12
        echo_server_green_threads{hub="1"} 503
        echo_server_green_threads{hub="2"} 501
        """

    @Test func `a metric has a value for each of its labels, in their order`() {
        #expect(AdminPage.values(of: "echo_server_green_threads", in: page) == [503, 501])
        #expect(AdminPage.values(of: "echo_server_connections", in: page) == [7, 0])
    }

    @Test func `a metric with a label has one value`() {
        #expect(AdminPage.values(of: "echo_server_connections{state=\"open\"}", in: page) == [7])
    }
}
