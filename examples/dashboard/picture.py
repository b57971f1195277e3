#!/usr/bin/env python3
"""Draws docs/pictures/dashboard.svg from a real run: starts Prometheus and the example `dashboard`, sends it requests for a
minute, evaluates the expressions of grafana.json, and draws its panels.

    cargo build --release -p piggyback-examples --features dashboard --bin dashboard
    python3 examples/dashboard/picture.py target/release/dashboard
"""
import asyncio
import html
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SERVICE, PROMETHEUS = 3917, 3918
SECONDS = 75
COLOURS = {"users.find": "#0b6fa4", "events.record": "#c2560c"}


async def call(request, timeout):
    """A request whose client hangs up after the timeout."""
    async def talk():
        reader, writer = await asyncio.open_connection("127.0.0.1", SERVICE)
        try:
            writer.write(request)
            await writer.drain()
            await reader.read()
        finally:
            writer.close()
    try:
        await asyncio.wait_for(talk(), timeout)
    except (asyncio.TimeoutError, OSError):
        pass


async def traffic():
    begin, tasks = time.monotonic(), set()
    random.seed(2022)
    while (now := time.monotonic() - begin) < SECONDS:
        # The rate rises, has a peak, and falls again.
        rate = 60 + 340 * math.exp(-((now - 45) / 10) ** 2)
        await asyncio.sleep(random.expovariate(rate))
        if random.random() < 0.5:
            user = min(int(random.paretovariate(1.1)), 50)
            head = f"GET /users/{user} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            # Every tenth client is impatient.
            timeout = 0.015 if random.random() < 0.1 else 5
        else:
            head = "POST /events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nlogin"
            timeout = 5
        task = asyncio.create_task(call(head.encode(), timeout))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


def evaluate(expression, start, end):
    expression = expression.replace("$function", ".*").replace("$__rate_interval", "10s")
    query = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": 1})
    with urllib.request.urlopen(f"http://127.0.0.1:{PROMETHEUS}/api/v1/query_range?{query}") as reply:
        found = json.load(reply)
    series = []
    for each in found["data"]["result"]:
        points = [(float(at), float(value)) for at, value in each["values"]]
        series.append((each["metric"].get("function", ""), [p for p in points if math.isfinite(p[1])]))
    return series


def show(value, unit):
    if unit == "percentunit":
        return f"{value * 100:.0f} %"
    if unit == "s":
        return f"{value * 1000:.0f} ms"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def nice(value):
    power = 10 ** math.floor(math.log10(max(value, 1e-9)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def panel(of, start, end):
    position, column, row = of["gridPos"], 40, 26
    x, y = position["x"] * column + 4, position["y"] * row + 40
    width, height = position["w"] * column - 8, position["h"] * row - 8
    unit = of.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    targets = [evaluate(target["expr"], start, end) for target in of["targets"]]
    svg = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#ffffff" stroke="#e4e8ec"/>',
           f'<text x="{x + 12}" y="{y + 22}" font-weight="600" fill="#1b1f24">{html.escape(of["title"])}</text>']
    if of["type"] == "stat":
        points = [point for series in targets for _, points in series for point in points]
        value = points[len(points) // 2][1] if points else 0
        svg.append(f'<text x="{x + width / 2}" y="{y + height / 2 + 22}" font-size="40" font-weight="600" text-anchor="middle" fill="#0b6fa4">{show(value, unit)}</text>')
        return svg
    values = [value for series in targets for _, points in series for _, value in points]
    top = 1.0 if unit == "percentunit" else nice(max(values + [1e-3]) * 1.02)
    left, right, upper, lower = x + 62, x + width - 14, y + 38, y + height - 34
    for part in (0, 0.5, 1):
        at = lower - part * (lower - upper)
        svg.append(f'<path d="M{left} {at:.1f}H{right}" stroke="#e4e8ec"/>')
        svg.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#5c6670">{show(part * top, unit)}</text>')
    # The second expression of a panel is dashed.
    for dash, series in zip(("", ' stroke-dasharray="5 4"'), targets):
        for function, points in series:
            path = "".join(
                ("L" if n else "M") + f"{left + (at - start) / (end - start) * (right - left):.1f} {lower - min(max(value / top, 0), 1) * (lower - upper):.1f}"
                for n, (at, value) in enumerate(points))
            if path:
                svg.append(f'<path d="{path}" fill="none" stroke="{COLOURS.get(function, "#5c6670")}" stroke-width="2"{dash}/>')
    legend, at = sorted({function for series in targets for function, _ in series}), left
    for function in legend:
        svg.append(f'<rect x="{at}" y="{y + height - 20}" width="12" height="4" fill="{COLOURS.get(function, "#5c6670")}"/>')
        svg.append(f'<text x="{at + 18}" y="{y + height - 13}" fill="#5c6670">{html.escape(function)}</text>')
        at += 40 + 8 * len(function)
    return svg


def main():
    dashboard = json.loads((HERE / "grafana.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "prometheus.yml")
        config.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: service, static_configs: [{{targets: ["127.0.0.1:{SERVICE}"]}}]}}]
""")
        service = subprocess.Popen([sys.argv[1], "--listen", f"127.0.0.1:{SERVICE}"])
        prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{PROMETHEUS}"],
            stderr=subprocess.DEVNULL)
        try:
            time.sleep(5)
            start = time.time() + 10
            asyncio.run(traffic())
            end = time.time()
            panels = [line for of in dashboard["panels"] for line in panel(of, start, end)]
        finally:
            service.terminate()
            prometheus.terminate()
    height = max(of["gridPos"]["y"] + of["gridPos"]["h"] for of in dashboard["panels"]) * 26 + 44
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 968 {height}" role="img" aria-label="The dashboard in a run of a minute" font-size="13" font-family="system-ui, -apple-system, \'Segoe UI\', Roboto, \'DejaVu Sans\', sans-serif">',
           f'<rect width="968" height="{height}" rx="8" fill="#f7f9fa"/>',
           f'<text x="12" y="26" font-size="15" font-weight="600" fill="#1b1f24">{html.escape(dashboard["title"])}</text>']
    (HERE / "../../docs/pictures/dashboard.svg").resolve().write_text("\n".join(svg + panels + ["</svg>", ""]))


main()
