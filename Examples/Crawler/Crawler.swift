// Gets pages, and the pages of the same sites to which they link: at most three at a time, at most a hundred.
//
// Shows a queue that its consumers fill themselves, and whose end `joinTasks` tells; libcurl, whose blocking calls park on GreenPatch; and a time limit for
// each page.  A page that is not there, is too long or hangs is told, counted, and keeps no other from coming.  The course's crawlers in Python drop it silently.
//
//     swift run Crawler 10 https://www.swift.org/      # ten seconds for each page

import CourseKit
import CourseWeb
import Glibc
import GreenNet

@main struct Crawler {
    static func main() {
        let words = arguments(2...101, usage: "Crawler SECONDS URL...")
        let limit = Duration.seconds(number(words[0], "SECONDS", in: 1...3600))
        let start = Deadline.now
        let crawl = Crawl(limit: limit)
        orEnd {
            try Web.load()
            for url in words.dropFirst() {
                guard let url = Web.join(url, url) else {
                    end(EX_USAGE, "\(url.debugDescription) is no URL: expected http://HOST/PATH or https://HOST/PATH")
                }
                crawl.sites.insert(String(Web.site(of: url)))
                try crawl.add(url)
            }
            try crawl.run()
        }
        say("\(crawl.pages) pages, \(crawl.failures) failures")
        say("run time is \((Deadline.now - start).inSeconds) s")
        exit(crawl.failures == 0 ? EX_OK : EX_UNAVAILABLE)
    }
}

final class Crawl {
    static let (atOnce, longest, most) = (3, 1 << 20, 100)
    private let limit: Duration
    private let toVisit = GreenQueue<String>()
    private var seen: Set<String> = []
    /// Links to others are not followed.
    var sites: Set<String> = []
    private var robots: [String: Greenlet<Robots>] = [:]
    private(set) var (pages, failures) = (0, 0)

    init(limit: Duration) { self.limit = limit }

    func run() throws {
        try withGreenGroup { group in
            for _ in 1...Crawl.atOnce {
                group.spawn {
                    while let url = try self.toVisit.next() {
                        try self.visit(url)
                        self.toVisit.taskDone()
                    }
                }
            }
            // Nothing is left to visit, and nothing under way that could find more.
            try toVisit.joinTasks()
            toVisit.shutDown()
        }
    }

    /// Each page once, whatever leads to it: links that go round end here.
    func add(_ url: String) throws {
        guard sites.contains(String(Web.site(of: url))), !seen.contains(url) else { return }
        if seen.count == Crawl.most { return }
        seen.insert(url)
        if seen.count == Crawl.most { say("\(Crawl.most) pages: further links are not followed") }
        try toVisit.put(url)
    }

    private func visit(_ url: String) throws {
        guard try rules(of: url).allow(url) else { return say("robots.txt forbids: \(url)") }
        say("GET: \(url)")
        do { try take(withTimeout(limit) { try Web.get(url, longest: Crawl.longest) }, url) } catch {
            failures += 1
            say("failed: \(url): \(error)")
        }
    }

    private func take(_ page: Web.Page, _ url: String) throws {
        switch (page.status, page.redirect) {
        case (200..<300, _):
            pages += 1
            say("\(page.body.count) bytes received from \(url)")
            for link in links(in: page.body) { if let found = Web.join(url, link) { try add(found) } }
        case (300..<400, let target?):
            say("\(page.status): \(url) leads to \(target)")
            try add(target)
        default:
            failures += 1
            say("\(page.status): \(url)")
        }
    }

    /// What stands in `href="..."`.
    private func links(in body: [UInt8]) -> [String] {
        let text = String(decoding: body, as: UTF8.self)
        let parts = text.split(separator: "href=\"", omittingEmptySubsequences: false).dropFirst()
        return parts.compactMap { part in part.firstIndex(of: "\"").map { String(part[..<$0]) } }
    }

    /// The first to ask for a site's rules gets them; the others wait for them.
    private func rules(of url: String) throws -> Robots {
        let site = String(Web.site(of: url))
        if let known = robots[site] { return try known.value() }
        let limit = limit
        let asking = spawn(name: "robots.txt of \(site)") { try Robots(site, limit: limit) }
        robots[site] = asking
        return try asking.value()
    }
}
