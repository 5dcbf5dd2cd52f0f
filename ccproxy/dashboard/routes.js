// Where requests go: /admin/routes, and /admin/explain for a single one.

import { get, post } from "./api.js";
import { el, fill, notice, part, state, table } from "./dom.js";

const SHOWN_FIRST = 15;
const input = (id) => document.getElementById(id);

export class Routes {
  constructor(onProblem) {
    this.rows = [];
    this.isWhole = false;
    this.onProblem = onProblem;
    input("filter").addEventListener("input", () => this.#list());
    input("explain").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#explain();
    });
  }

  async load(_hours, signal) {
    const told = await get("admin/routes", signal);
    return () => {
      const known = JSON.stringify(told);
      if (known === this.known) return; // somebody's focus may be in the list
      this.known = known;
      this.rows = [...told.agents, ...told.unknown];
      this.told = told;
      fill(input("agents"), told.agents.map((row) => el("option", { value: row.agent })));
      this.#list();
    };
  }

  #list() {
    const wanted = input("filter").value.trim().toLowerCase();
    const text = (row) => [row.agent, row.tier, row.category, ...row.route].join(" ").toLowerCase();
    const found = this.rows.filter((row) => text(row).includes(wanted));
    const shown = this.isWhole ? found : found.slice(0, SHOWN_FIRST);
    const { profile, table_version: version } = this.told ?? {};
    fill(part("routes", "body"), [
      el(
        "p",
        { class: "told", role: "status" },
        `Profile ${profile}, table version ${version}: ${shown.length} of ${this.rows.length} shown, ` +
          "as they would be routed now. Rules about what is in a request are not asked here.",
      ),
      found.length ? table("Routes", this.#columns(), shown) : notice("No agent matches."),
      shown.length < found.length ? this.#more(found.length) : null,
    ]);
  }

  #more(number) {
    const showAll = () => {
      this.isWhole = true;
      this.#list();
    };
    return el("button", { type: "button", on: { click: showAll } }, `Show all ${number}`);
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
