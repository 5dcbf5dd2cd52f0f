// Where requests go: /admin/routes, and /admin/explain for a single one.

import { get, post } from "./api.js";
import { el, fill, listing, notice, part, state, table } from "./dom.js";

const input = (id) => document.getElementById(id);

export class Routes {
  constructor(onProblem) {
    this.rows = [];
    this.onProblem = onProblem;
    input("filter").addEventListener("input", () => this.#list());
    input("explain").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#explain();
    });
  }

  ask(_hours, signal) {
    return get("admin/routes", signal);
  }

  show(told) {
    this.rows = [...told.agents, ...told.unknown];
    this.told = told;
    fill(input("agents"), told.agents.map((row) => el("option", { value: row.agent })));
    this.#list();
  }

  #list() {
    const wanted = input("filter").value.trim().toLowerCase();
    const text = (row) => [row.agent, row.tier, row.category, ...row.route].join(" ").toLowerCase();
    const found = this.rows.filter((row) => text(row).includes(wanted));
    const { profile, table_version: version } = this.told ?? {};
    fill(part("routes", "body"), [
      el(
        "p",
        { class: "told", role: "status" },
        `Profile ${profile}, table version ${version}: ${found.length} of ${this.rows.length} routes, ` +
          "as they would be routed now. Rules about what is in a request are not asked here.",
      ),
      found.length ? listing("Routes", this.#columns(), found) : notice("No agent matches."),
    ]);
  }

  #columns() {
    const why = (row) =>
      el(
        "button",
        {
          type: "button",
          "aria-label": `Why does ${row.agent} go there?`,
          on: {
            click: () => {
              input("explain-agent").value = row.agent.startsWith("(") ? "" : row.agent;
              input("explain-model").value = row.agent.startsWith("(") && row.tier ? `claude-${row.tier}-0` : "";
              this.#explain();
            },
          },
        },
        "Why?",
      );
    return [
      { title: "Agent", cell: (row) => row.agent },
      { title: "Tier", cell: (row) => row.tier || "–" },
      { title: "Category", cell: (row) => row.category || "–" },
      {
        title: "Route",
        wide: true,
        cell: (row) => (row.route.length ? row.route.join(" → ") : state(row.problem ?? "none", false, true)),
      },
      { title: "Left out now", wide: true, cell: (row) => row.skipped.join("; ") || "–" },
      { title: "Privacy", cell: (row) => row.privacy ?? "–" },
      { title: "Explain", cell: why },
    ];
  }

  async #explain() {
    const question = {};
    if (input("explain-agent").value) question.agent = input("explain-agent").value;
    if (input("explain-model").value) question.model = input("explain-model").value;
    if (input("explain-down").value) question.health = { [input("explain-down").value]: "down" };
    const host = part("routes", "explained");
    try {
      fill(host, explained(await post("admin/explain", question)));
    } catch (error) {
      if (error.status === 401 || error.status === 403) return this.onProblem(error);
      fill(host, [notice(error.message, "problem")]);
    }
    host.focus();
    host.scrollIntoView({ block: "nearest" });
  }
}

function explained(told) {
  const conclusion = told.refused
    ? notice(`Refused with ${told.refused.status} ${told.refused.type}: ${told.refused.message}`, "problem")
    : el(
        "ol",
        { class: "attempts" },
        told.attempts.map((attempt) =>
          el("li", {}, `${attempt.deployment} (${attempt.side})${only(attempt.only_after)}`),
        ),
      );
  return [
    el("h4", {}, `${told.agent}, from ${told.source}, profile ${told.profile}`),
    conclusion,
    table("Every rule and candidate", TRACE, told.trace),
  ];
}

function only(triggers) {
  return triggers.length ? `, only after ${triggers.join(" or ")}` : "";
}

const TRACE = [
  { title: "Kind", cell: (step) => step.kind },
  { title: "Name", cell: (step) => step.name },
  { title: "Result", cell: (step) => state(step.kept ? "kept" : "skipped", step.kept) },
  { title: "Why", wide: true, cell: (step) => step.reason },
];
