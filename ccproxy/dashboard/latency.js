// How long answers took: /admin/latency.

import { Chart } from "./chart.js";
import { get } from "./api.js";
import { el, fill, notice, part, table } from "./dom.js";
import { count, moment, seconds } from "./format.js";

const COLOURS = { local: 0, claude: 1, other: 2 };

export class Latency {
  constructor() {
    this.chart = new Chart("Time to the first token, by route", seconds);
    this.told = el("p", { class: "told" });
    this.table = el("div");
  }

  ask(hours, signal) {
    return get(`admin/latency?hours=${hours}`, signal);
  }

  show(told) {
    const body = part("latency", "body");
    if (!told.looked_at) {
      fill(body, [notice("Nothing was answered in this time.")]);
      return;
    }
    if (this.chart.element.parentElement !== body) fill(body, [this.told, this.chart.element, this.table]);
    this.told.textContent =
      `From the newest ${count(told.looked_at)} answers, since ${moment(told.since_s)}. ` +
      "Half of them were faster than p50, 95 % faster than p95.";
    const length = Math.round((told.until_s - told.first_s) / told.step_s);
    const times = Array.from({ length }, (_, index) => told.first_s + index * told.step_s);
    const lines = told.routes.flatMap(({ route, p50, p95 }) => [
      { name: `${route}, p50`, values: p50, colour: COLOURS[route], dash: 0 },
      { name: `${route}, p95`, values: p95, colour: COLOURS[route], dash: 1 },
    ]);
    this.chart.show(times, lines, { stepS: told.step_s });
    fill(this.table, [table("Latency by deployment", COLUMNS, told.deployments)]);
  }
}

const COLUMNS = [
  { title: "Deployment", cell: (row) => row.deployment },
  { title: "Route", cell: (row) => row.route },
  { title: "Answers", numeric: true, cell: (row) => count(row.answers) },
  ...["p50", "p95", "p99"].map((q) => ({
    title: `First token ${q}`,
    numeric: true,
    cell: (row) => seconds(row.ttft_s[q]),
  })),
  ...["p50", "p95"].map((q) => ({
    title: `Whole answer ${q}`,
    numeric: true,
    cell: (row) => seconds(row.total_s[q]),
  })),
  {
    title: "Tokens/s p50",
    numeric: true,
    cell: (row) => (row.tokens_per_s.p50 === null ? "unknown" : row.tokens_per_s.p50.toFixed(1)),
  },
];
