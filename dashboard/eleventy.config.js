import { ages, between, distinct, lackingReasons, overMonths, range, ranked, sumOf, verdicts, whyNothingIsKnown } from "./filters.js";

export default function (eleventy) {
  // Nothing comes from another server: scripts and styles are files beside the pages.
  eleventy.addPassthroughCopy({
    "assets": "assets",
    "../refersion_dagster/report/style.css": "assets/report.css",
    "node_modules/echarts/dist/echarts.common.min.js": "assets/echarts.js",
    "node_modules/tablesort/dist/tablesort.min.js": "assets/tablesort.js",
    "node_modules/tablesort/dist/sorts/tablesort.number.min.js": "assets/tablesort-number.js",
  });
  const filters = { ages, between, distinct, lackingReasons, overMonths, range, ranked, sumOf, verdicts, whyNothingIsKnown };
  for (const [name, filter] of Object.entries(filters)) eleventy.addNunjucksFilter(name, filter);
  eleventy.addNunjucksFilter("limit", (rows, most) => rows.slice(0, most));
  return { dir: { input: "pages", output: "dist" } };
}
