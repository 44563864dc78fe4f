/// `/`: shows the service live.  The page is complete in itself and fetches `/metrics` once a second.
enum AdminPage {
    static let html = #"""
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>echo-server</title>
        <style>
          :root { color-scheme: light dark; --ink: #1b1f24; --soft: #5d6672; --line: #d7dce2; --paper: #fff; --card: #f6f7f9;
                  --one: #0b6e4f; --two: #b4540a; --bad: #b3261e; }
          @media (prefers-color-scheme: dark) {
            :root { --ink: #e8eaed; --soft: #9aa4b0; --line: #343a42; --paper: #15181c; --card: #1d2126;
                    --one: #4cc38a; --two: #ffa057; --bad: #ff8a80; }
          }
          body { margin: 0 auto; max-width: 64rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
                 font: 16px/1.45 system-ui, sans-serif; }
          h1 { font-size: 1.3rem; margin: 0; }
          #about, footer { color: var(--soft); font-size: .9rem; margin: .2rem 0 1.2rem; }
          #state { color: var(--one); font-weight: 600; }
          #state.bad { color: var(--bad); }
          main { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
          section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; }
          h2 { font-size: .9rem; font-weight: 600; color: var(--soft); margin: 0; }
          .now { font-size: 1.6rem; font-variant-numeric: tabular-nums; min-height: 2.3rem; }
          .now small { font-size: .85rem; color: var(--soft); }
          svg { display: block; width: 100%; height: 7rem; overflow: visible; }
          .axis { stroke: var(--line); vector-effect: non-scaling-stroke; }
          .one, .two { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke: var(--one); }
          .two { stroke: var(--two); stroke-dasharray: 4 3; }
          .scale { display: flex; justify-content: space-between; color: var(--soft); font-size: .75rem; }
          b.one { color: var(--one); } b.two { color: var(--two); }
          b { font-weight: 600; }
          footer { margin-top: 1.2rem; }
          a { color: inherit; }
        </style>
        <h1>echo-server <span id="state">…</span></h1>
        <p id="about">waiting for the first numbers</p>
        <main></main>
        <footer>The last two minutes, a point a second.
          <a href="metrics">metrics</a> · <a href="threads">green threads</a> · <a href="healthz">health</a> · <a href="readyz">readiness</a></footer>
        <script>
        "use strict";
        const SPAN = 120;
        const plots = [
          plot("connections", "Connections", count, [["connections", m => sum(m, "echo_server_connections", 'state="open"')]]),
          plot("reads", "Reads a second", count, [["reads", rate("echo_server_reads_total")]]),
          plot("bytes", "Bytes a second", bytes,
            [["in", rate("echo_server_received_bytes_total")], ["out", rate("echo_server_sent_bytes_total")]]),
          plot("lag", "Loop lag", milliseconds, [["lag", m => largest(m, "echo_server_hub_lag_seconds{")]]),
        ];
        let before = null, failures = 0;

        function plot(id, title, format, lines) {
          const section = document.createElement("section");
          section.id = id;
          section.innerHTML = `<h2>${title}</h2><div class="now">–</div>
            <svg viewBox="0 0 ${SPAN} 100" preserveAspectRatio="none" role="img" aria-label="${title}">
            <line class="axis" x1="0" y1="100" x2="${SPAN}" y2="100"/><line class="axis" x1="0" y1="0" x2="${SPAN}" y2="0"/>
            <polyline class="one"/><polyline class="two"/></svg>
            <div class="scale"><span>2 min ago</span><span class="top"></span><span>now</span></div>`;
          document.querySelector("main").append(section);
          return { section, format, lines, points: lines.map(() => []) };
        }

        function parse(text) {
          const values = new Map();
          for (const line of text.split("\n")) {
            if (!line || line.startsWith("#")) continue;
            const space = line.lastIndexOf(" ");
            values.set(line.slice(0, space), Number(line.slice(space + 1)));
          }
          return values;
        }

        const matching = (m, name, label) =>
          [...m].filter(([key]) => key.startsWith(name) && (!label || key.includes(label))).map(([, value]) => value);
        function sum(m, name, label) { return matching(m, name, label).reduce((a, b) => a + b, 0); }
        function largest(m, name) { return Math.max(0, ...matching(m, name)); }
        function rate(name) {
          return (m, time) => before && time > before.time
            ? Math.max(0, (m.get(name) - before.metrics.get(name)) / (time - before.time) * 1000) : null;
        }

        function count(value) { return Math.round(value).toLocaleString("en"); }
        function milliseconds(value) { return (value * 1000).toFixed(value < .01 ? 2 : 0) + " ms"; }
        function bytes(value) {
          const units = ["B", "kB", "MB", "GB"];
          let unit = 0;
          while (value >= 1000 && unit < 3) { value /= 1000; unit += 1; }
          return value.toFixed(unit && value < 100 ? 1 : 0) + " " + units[unit];
        }

        function draw({ section, format, lines, points }) {
          const all = points.flat().filter(value => value !== null);
          const top = Math.max(...all, 1e-9);
          section.querySelectorAll("polyline").forEach((line, index) => {
            const values = points[index] || [];
            const first = SPAN - values.length;
            line.setAttribute("points", values.map((value, i) => value === null ? [] : [`${first + i + 1},${100 - 100 * value / top}`]).flat().join(" "));
          });
          const names = ["one", "two"];
          section.querySelector(".now").innerHTML = points.map((values, index) => {
            const value = values.at(-1);
            const name = lines.length > 1 ? ` <small><b class="${names[index]}">${lines[index][0]}</b></small>` : "";
            return (value === null || value === undefined ? "–" : format(value)) + name;
          }).join(" &nbsp; ");
          section.querySelector(".top").textContent = all.length ? "top: " + format(top) : "";
        }

        function label(m, name, key) {
          const found = [...m.keys()].find(k => k.startsWith(name + "{"));
          return found ? (found.match(new RegExp(key + '="([^"]*)"')) || [])[1] : "";
        }

        function about(m) {
          const info = "echo_server_build_info";
          const up = Math.max(0, Date.now() / 1000 - m.get("echo_server_start_time_seconds"));
          const time = up < 120 ? Math.round(up) + " s" : up < 7200 ? Math.round(up / 60) + " min" : Math.round(up / 3600) + " h";
          document.getElementById("about").textContent =
            `version ${label(m, info, "version")}, model ${label(m, info, "model")}, transform ${label(m, info, "transform")}, up ${time}, ` +
            `${count(m.get("echo_server_accepted_total"))} connections so far, limit ${count(m.get("echo_server_connections_limit"))}`;
          state(m.get("echo_server_ready") ? "accepting" : "not accepting", !m.get("echo_server_ready"));
        }

        function state(text, isBad) {
          const element = document.getElementById("state");
          element.textContent = text;
          element.className = isBad ? "bad" : "";
        }

        async function look() {
          try {
            const answer = await fetch("metrics", { cache: "no-store", signal: AbortSignal.timeout(5000) });
            const metrics = parse(await answer.text()), time = performance.now();
            for (const plot of plots) {
              plot.lines.forEach(([, value], index) => plot.points[index].push(value(metrics, time)));
              for (const points of plot.points) if (points.length > SPAN) points.shift();
              draw(plot);
            }
            about(metrics);
            before = { metrics, time };
            failures = 0;
          } catch (error) {
            failures += 1;
            state(`does not answer (${failures})`, true);
          }
          setTimeout(look, 1000);
        }
        look();
        </script>
        </html>

        """#
}
