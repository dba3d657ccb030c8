// Draws the charts, sorts and filters tables, and says when the data have become late since the pages were built.
"use strict";

const HOUR = 3_600_000;
const COLOURS = ["--accent", "--good", "--warn", "--quiet"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function option({ kind, labels, series }) {
  const [ink, line] = [colour("--quiet"), colour("--line")];
  const isRanked = kind === "ranked";
  const category = { type: "category", data: labels, axisLabel: { color: ink, hideOverlap: true, ...(isRanked ? { overflow: "truncate", width: 150 } : {}) }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } };
  const value = { type: "value", axisLabel: { color: ink }, splitLine: { lineStyle: { color: line } } };
  return {
    animation: false,
    color: kind === "stack" ? ["--good", "--accent", "--quiet", "--warn"].map(colour) : COLOURS.map(colour),
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 16, top: series.length > 1 ? 36 : 12, bottom: 8, containLabel: true },
    legend: series.length > 1 ? { top: 0, left: 0, textStyle: { color: ink }, itemHeight: 10, itemWidth: 16, icon: "roundRect" } : undefined,
    tooltip: {
      trigger: "axis",
      // Not HTML: names are foreign text.
      renderMode: "richText",
      axisPointer: { type: kind === "line" ? "line" : "shadow" },
      formatter: (points) => [points[0].name, ...points.map((point) => `${point.seriesName ? `${point.seriesName}: ` : ""}${series[point.seriesIndex].texts[point.dataIndex]}`)].join("\n"),
    },
    xAxis: isRanked ? value : category,
    yAxis: isRanked ? { ...category, inverse: true } : value,
    series: series.map((one) => ({
      name: one.name,
      data: one.values,
      type: kind === "line" ? "line" : "bar",
      stack: kind === "stack" ? "all" : undefined,
      barMaxWidth: 28,
      showSymbol: one.values.length < 40,
      symbolSize: 5,
    })),
  };
}

const charts = [];

function drawCharts() {
  for (const figure of document.querySelectorAll("figure.chart")) {
    const room = document.createElement("div");
    const spec = JSON.parse(figure.dataset.chart);
    room.className = "room";
    room.style.height = `${spec.kind === "ranked" ? Math.max(120, 30 * spec.labels.length + 30) : 240}px`;
    figure.append(room);
    const chart = echarts.init(room, null, { renderer: "svg" });
    charts.push([chart, spec]);
    chart.setOption(option(spec));
  }
  addEventListener("resize", () => charts.forEach(([chart]) => chart.resize()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(([chart, spec]) => chart.setOption(option(spec), true)));
}

function addFilter(table) {
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = table.dataset.filter;
  input.setAttribute("aria-label", table.dataset.filter);
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.parentElement.before(input);
}

/** Pages may be looked at long after they were built. */
function sayWhetherLate() {
  const notices = document.getElementById("notices");
  const { asOf, lateHours } = notices.dataset;
  const hours = Math.floor((Date.now() - Date.parse(asOf)) / HOUR);
  if (!asOf || hours <= Number(lateHours) || notices.textContent.includes("LATE:")) return;
  const notice = document.createElement("p");
  notice.className = "notice bad";
  notice.textContent = `LATE: Refersion was last read ${hours.toLocaleString("en")} hours ago. Build the dashboard again; if it stays late, see Dagster's runs.`;
  notices.prepend(notice);
}

sayWhetherLate();
drawCharts();
document.querySelectorAll("table.sortable").forEach((table) => new Tablesort(table));
document.querySelectorAll("table[data-filter]").forEach(addFilter);
