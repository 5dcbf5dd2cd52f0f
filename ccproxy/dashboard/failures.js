// What failed, and what another deployment answered instead: /admin/failures.

import { Chart } from "./chart.js";
import { get } from "./api.js";
import { el, fill, listing, notice, part, table } from "./dom.js";
import { count, countOnAxis, moment, usd } from "./format.js";

export class Failures {
  constructor() {
    this.chart = new Chart("Fallbacks and failures over time", count, countOnAxis);
    this.lists = el("div");
  }

  ask(hours, signal) {
    return get(`admin/failures?hours=${hours}`, signal);
  }

  show(told) {
    const body = part("failures", "body");
    const troubles = told.points.some((point) => point.fallbacks + point.error_relayed + point.failed + point.broken > 0);
    if (!troubles && !told.requests.length) {
      fill(body, [notice("Nothing failed in this time, and nothing fell back.")]);
      return;
    }
    if (this.chart.element.parentElement !== body) fill(body, [this.chart.element, this.lists]);
    const of = (name) => told.points.map((point) => point[name]);
    this.chart.show(
      told.points.map((point) => point.at_s),
      [
        { name: "answered by a fallback", values: of("fallbacks"), colour: 0 },
        { name: "an upstream's error passed on", values: of("error_relayed"), colour: 1 },
        { name: "failed", values: of("failed"), colour: 3 },
        { name: "broke off", values: of("broken"), colour: 4 },
        { name: "client left", values: of("client_gone"), colour: 5 },
      ],
      { stepS: told.step_s },
    );
    fill(this.lists, [
      el("h3", {}, "What failed where"),
      told.attempts.length
        ? table("Failed attempts", ATTEMPTS, told.attempts)
        : notice("No attempt failed."),
      el("h3", {}, "The latest requests with trouble"),
      told.requests.length
        ? listing("Requests", REQUESTS, told.requests)
        : notice("No request is kept that had any."),
    ]);
  }
}

const ATTEMPTS = [
  { title: "Deployment", cell: (row) => row.deployment },
  { title: "Failure", cell: (row) => row.result },
  { title: "Attempts", numeric: true, cell: (row) => count(row.attempts) },
  { title: "Requests", numeric: true, cell: (row) => count(row.requests) },
  { title: "Wasted", numeric: true, cell: (row) => usd(row.wasted_microusd) },
  { title: "Last", cell: (row) => moment(row.last_ms / 1000) },
];

const REQUESTS = [
  { title: "At", cell: (row) => moment(row.at_ms / 1000) },
  { title: "Agent", cell: (row) => row.agent },
  {
    title: "Attempts",
    wide: true,
    cell: (row) =>
      row.attempts.map((attempt) => `${attempt.deployment}: ${attempt.result}`).join(" → ") || "none",
  },
  { title: "Ending", cell: (row) => row.ending },
  { title: "Status", numeric: true, cell: (row) => row.status || "–" },
  { title: "Request", wide: true, cell: (row) => el("code", {}, row.request_id) },
];
