// The figures that `python -m dashboard` read from one set of published copies.
import { readFileSync } from "node:fs";

export default JSON.parse(readFileSync(process.env.DASHBOARD_FIGURES, "utf8"));
