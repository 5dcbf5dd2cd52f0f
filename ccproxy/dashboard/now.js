// What goes on at this moment: one snapshot of /admin/live on the page.

import { el, fill, notice, part, state, table } from "./dom.js";
import { count, gib, moment, named, seconds } from "./format.js";

const sum = (rows, key) => rows.reduce((total, row) => total + row[key], 0);

export function showNow(snapshot) {
  const { in_flight: inFlight, deployments, backends } = snapshot;
  document.title = `${inFlight.requests} running · ccproxy`;
  fill(part("now", "tiles"), tiles(snapshot));
  fill(part("now", "notices"), notices(snapshot));
  fill(part("now", "running"), running(inFlight));
  fill(part("now", "deployments"), [table("Deployments", DEPLOYMENTS, deployments)]);
  fill(part("now", "models"), models(backends));
  fill(part("now", "backends"), [
    backends.length ? table("Backends", BACKENDS, backends) : notice("No backend can be asked."),
  ]);
}

function tiles({ in_flight: inFlight, deployments, backends, ready, profile, ledger }) {
  const resident = backends.flatMap((backend) => backend.models ?? []).filter((model) => model.loaded);
  const bytes = resident.reduce((total, model) => total + (model.loaded.size_bytes ?? 0), 0);
  const facts = [
    ["Running", count(inFlight.requests)],
    ["Waiting for a slot", count(sum(deployments, "waiting"))],
    ["Models in memory", `${count(resident.length)}, ${gib(bytes)}`],
    ["Ready to serve", ready ? "yes" : "no"],
    ["Profile", profile],
    ["Ledger", ledger.state],
  ];
  return facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

function notices({ ready, ledger, routing }) {
  const found = [];
  if (!ready) found.push(notice("No deployment that a route uses can serve at the moment.", "problem"));
  if (ledger.state === "down") {
    found.push(notice(`The ledger is down: ${ledger.error}. Requests are served; figures below may be missing.`, "problem"));
  }
  if (ledger.dropped) found.push(notice(`${count(ledger.dropped)} rows of the ledger were lost.`, "problem"));
  if (routing.rejected) {
    const problems = routing.rejected.problems.slice(0, 3).join("; ");
    found.push(notice(`The last edit of the routing files was rejected, the one before it is in force: ${problems}`, "problem"));
  }
  return found;
}

function running(inFlight) {
  if (!inFlight.groups.length) return [notice("Nothing is running.")];
  const rest = inFlight.left_out ? [notice(`${count(inFlight.left_out)} more groups are not shown.`)] : [];
  return [table("Running requests", RUNNING, inFlight.groups), ...rest];
}

const RUNNING = [
  { title: "Agent", cell: (row) => row.agent },
  { title: "Deployment", cell: (row) => row.deployment || "not chosen yet" },
  { title: "Route", cell: (row) => row.route || "–" },
  { title: "Requests", numeric: true, cell: (row) => count(row.requests) },
  { title: "Answering", numeric: true, cell: (row) => count(row.answering) },
  { title: "Oldest", numeric: true, cell: (row) => seconds(row.oldest_s) },
];

const DEPLOYMENTS = [
  { title: "Deployment", cell: (row) => row.deployment },
  { title: "Side", cell: (row) => row.side },
  { title: "Running", numeric: true, cell: (row) => count(row.busy) },
  { title: "Waiting", numeric: true, cell: (row) => count(row.waiting) },
  {
    title: "State",
    wide: true,
    cell: (row) =>
      row.unavailable
        ? [state("not used", false, true), `: ${row.unavailable}`]
        : state(row.breaker.state === "closed" ? "usable" : row.breaker.state, row.breaker.state === "closed"),
  },
];

function models(backends) {
  const resident = backends.flatMap((backend) =>
    (backend.models ?? [])
      .filter((model) => model.loaded)
      .map((model) => ({ ...model, backend: backend.api_base })),
  );
  return [resident.length ? table("Models in memory", MODELS, resident) : notice("No model is in memory.")];
}

const MODELS = [
  { title: "Model", cell: (row) => row.model },
  { title: "Backend", wide: true, cell: (row) => row.backend },
  { title: "Memory", numeric: true, cell: (row) => gib(row.loaded.size_bytes) },
  { title: "Of it on the GPU", numeric: true, cell: (row) => gib(row.loaded.size_vram_bytes) },
  { title: "Context", numeric: true, cell: (row) => count(row.loaded.context_tokens) },
  { title: "Serving for us", numeric: true, cell: (row) => count(row.busy) },
  { title: "Leaves at", cell: (row) => moment(row.loaded.expires_at) },
];

const BACKENDS = [
  { title: "Address", cell: (row) => named(row.api_base) },
  { title: "State", cell: (row) => state(row.state, row.state === "up", row.state === "down") },
  { title: "Since", cell: (row) => moment(row.since) },
  { title: "Why", wide: true, cell: (row) => row.why || "–" },
];
