// What the pages calculate for display: which reasons to write below a table, and what a chart draws. No amounts are added up here.

const AGES = [
  ["due_0_30_days", "0 to 30 days"],
  ["due_31_60_days", "31 to 60 days"],
  ["due_61_90_days", "61 to 90 days"],
  ["due_over_90_days", "Over 90 days"],
  ["credits_not_set_off", "Credits not set off"],
];
const NO_ROWS = "There are no figures.";
// What a row is about.
const IDENTITIES = ["affiliate_name", "month"];

/** The text of a known value between two words, else nothing. */
export const between = (cell, before, after) => (cell?.text ? `${before}${cell.text}${after}` : "");

/** Between which amounts an accrual lies, if none or all of what is pending is approved. */
export const range = ({ accrued_if_none_approved: lowest, accrued_if_all_approved: highest }) =>
  lowest?.text && highest?.text ? `at past approval rates; range ${lowest.text} to ${highest.text}` : "at past approval rates";

/** The different values of an object. */
export const distinct = (values) => [...new Set(Object.values(values ?? {}))];

/** The sum of a column of numbers of rows, not of amounts. */
export const sumOf = (rows, name) => rows.reduce((sum, row) => sum + Number(row[name]?.exact ?? 0), 0);

/** How many checks there are, or how many with a verdict. */
export const verdicts = (groups, verdict) =>
  groups.filter((group) => !verdict || group.verdict === verdict).reduce((sum, group) => sum + group.tables.length, 0);

/** Columns of a table that are not known, grouped by the reason. */
export function lackingReasons(columns, lacking) {
  const found = new Map();
  for (const { name, title } of columns) {
    const reason = name === "affiliate_name" ? undefined : lacking?.[name];
    if (reason) found.set(reason, [...(found.get(reason) ?? []), title]);
  }
  return [...found].map(([reason, titles]) => ({ reason, titles }));
}

/** Why a table would have no figure at all; undefined if it has one. */
export function whyNothingIsKnown(rows, columns, lacking) {
  const figures = columns.filter(({ name }) => !IDENTITIES.includes(name));
  const isKnown = rows.some((row) => figures.some(({ name }) => row[name]?.exact !== undefined));
  return rows.length && !isKnown ? lackingReasons(figures, lacking).map(({ reason }) => reason).join(" ") : undefined;
}

/** A bar for each age of what is due in one currency. */
export const ages = (owed) =>
  spec("bar", AGES.map(([, title]) => title), [{ name: "Due", cells: AGES.map(([name]) => owed[name]) }]);

/** Columns of rows over their months. Only complete months, if rows say which are: a running month would look like a fall. */
export function overMonths(rows, columns, kind) {
  const shown = rows.filter((row) => row.is_complete?.exact !== "0");
  return spec(kind, shown.map((row) => row.month.text), columns.map(([name, title]) => ({ name: title, cells: shown.map((row) => row[name]) })));
}

/** The rows with the highest known values of a column. */
export function ranked(rows, name, most, label = "affiliate_name") {
  const known = rows.filter((row) => row[name]?.exact !== undefined);
  const highest = known.sort((a, b) => Number(b[name].exact) - Number(a[name].exact)).slice(0, most);
  const result = spec("ranked", highest.map((row) => (row[label] ?? row.affiliate_id).text), [{ name: "", cells: highest.map((row) => row[name]) }]);
  return highest.length ? result : { ...result, reason: rows[0]?.[name]?.unknown ?? NO_ROWS };
}

/** What dashboard.js draws. Numbers are floating point, for pixels alone; texts are exact. */
function spec(kind, labels, series) {
  const cells = series.flatMap((one) => one.cells);
  return {
    kind,
    labels,
    series: series.map(({ name, cells }) => ({
      name,
      values: cells.map((cell) => (cell?.exact === undefined ? null : Number(cell.exact))),
      texts: cells.map((cell) => cell?.text ?? "not known"),
    })),
    isKnown: cells.some((cell) => cell?.exact !== undefined),
    reason: cells.find((cell) => cell?.unknown)?.unknown ?? NO_ROWS,
  };
}
