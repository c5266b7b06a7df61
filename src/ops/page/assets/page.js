// Charts, live parts, and a question before what cannot be undone. Everything works without it.
(() => {
  "use strict";
  const charts = new Map();
  const colours = ["--one", "--two", "--three", "--four", "--five", "--six", "--seven", "--eight"];
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const shortened = (n) =>
    n == null ? "" : Math.abs(n) >= 1e6 ? `${+(n / 1e6).toFixed(1)}M` : Math.abs(n) >= 1e4 ? `${+(n / 1e3).toFixed(1)}k` : `${+n.toFixed(n < 10 ? 1 : 0)}`;

  const clock = (at, from, to) => {
    const text = new Date(at * 1e3).toISOString();
    return text.slice(from, to).replace("T", " ");
  };

  function options(place, labels) {
    const line = { stroke: style("--muted"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 }, font: "11px system-ui" };
    return {
      width: Math.max(place.clientWidth, 120),
      height: 150,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "UTC"),
      cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...line, size: 26, values: (_, all, __, ___, step) => all.map((at) => (step >= 86400 ? clock(at, 5, 10) : clock(at, 11, 16))) }, { ...line, size: 44, values: (_, all) => all.map(shortened) }],
      series: [
        { label: "UTC", value: (_, at) => (at == null ? "-" : clock(at, 5, 16)) },
        ...labels.map((label, n) => ({ label, stroke: style(colours[n % colours.length]), width: 1.5, spanGaps: false, points: { size: 3 }, value: (_, n) => shortened(n) || "-" })),
      ],
    };
  }

  async function draw(place) {
    const { names, labels, over } = place.dataset;
    try {
      const answer = await fetch(`/api/series?names=${encodeURIComponent(names)}&over=${over}`, { credentials: "same-origin" });
      if (!answer.ok) return;
      const drawn = await answer.json();
      const table = [drawn.at, ...drawn.series.map((one) => one.values)];
      const known = charts.get(place);
      if (known) return known.setData(table);
      charts.set(place, new uPlot(options(place, labels.split(",")), table, place));
    } catch {
      // The next change asks again.
    }
  }

  const drawAll = () => document.querySelectorAll(".plot").forEach(draw);
  function redraw() {
    charts.forEach((chart) => chart.destroy());
    charts.clear();
    drawAll();
  }

  function refresh() {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      // Nobody's form is taken from under their hands.
      if (!part.querySelector("form :focus")) htmx.trigger(part, "live");
    }
  }

  let drawnAt = 0;
  function listen() {
    if (!document.querySelector("[data-live], .plot") || !window.EventSource) return;
    const source = new EventSource("/live");
    source.addEventListener("changed", () => {
      refresh();
      if (!document.hidden && Date.now() - drawnAt > 10_000) {
        drawnAt = Date.now();
        drawAll();
      }
    });
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => event.persisted && listen());
  }

  document.addEventListener("submit", (event) => {
    const asked = event.submitter?.dataset.sure;
    if (asked && !confirm(asked)) event.preventDefault();
  });
  document.addEventListener("visibilitychange", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => charts.forEach((chart, place) => chart.setSize({ width: Math.max(place.clientWidth, 120), height: 150 })), 150);
  });
  drawnAt = Date.now();
  drawAll();
  listen();
})();
