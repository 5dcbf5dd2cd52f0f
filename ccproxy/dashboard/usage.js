// What was spent and saved: /admin/usage.

import { Chart } from "./chart.js";
import { get } from "./api.js";
import { el, fill, listing, notice, part } from "./dom.js";
import { cost, count, named, percent, short, usd, usdOnAxis } from "./format.js";

const ROUTE_COLOURS = { local: 0, claude: 1, other: 2 };

export class Usage {
  constructor() {
    this.by = document.getElementById("by");
    this.tiles = el("dl", { class: "tiles" });
    this.saved = el("p", { class: "told" });
    this.costs = new Chart("Cost over time", usd, usdOnAxis);
    this.savings = new Chart("Local answers: what they cost, and would have cost at Claude", usd, usdOnAxis);
    this.groups = el("div");
    this.parts = [this.tiles, this.saved, this.costs.element, this.savings.element, this.groups];
  }

  ask(hours, signal) {
    return get(`admin/usage?hours=${hours}&by=${this.by.value}`, signal);
  }

  show(told) {
    const body = part("usage", "body");
    if (!told.total.requests) {
      fill(body, [notice("No request was finished in this time.")]);
      return;
    }
    if (this.tiles.parentElement !== body) fill(body, this.parts);
    const { total } = told;
    const prompt =
      total.input_tokens + total.cache_write_5m_tokens + total.cache_write_1h_tokens + total.cache_read_tokens;
    const facts = [
      ["Requests", count(total.requests)],
      ["Cost", cost(total)],
      ["Saved, expected", total.compared ? usd(told.savings.expected_microusd) : "nothing compared"],
      ["Prompt tokens", short(prompt)],
      ["Of them from the cache", percent(total.cache_read_tokens, prompt)],
      ["Answer tokens", short(total.output_tokens)],
    ];
    fill(this.tiles, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    this.saved.textContent = told.savings.told;
    this.#draw(told);
    const rest = told.left_out ? [notice(`${count(told.left_out)} more are not shown.`)] : [];
    fill(this.groups, [listing(`Usage by ${told.by}`, columns(told.by, total), told.groups), ...rest]);
  }

  #draw({ points, lines, step_s: stepS, by }) {
    const times = points.map((point) => point.at_s);
    const of = (name) => points.map((point) => point[name]);
    const costs = lines.map((line) => ({
      name: named(line.name),
      values: line.cost_microusd,
      ...(by === "route" && line.name in ROUTE_COLOURS
        ? { colour: ROUTE_COLOURS[line.name], dash: ROUTE_COLOURS[line.name] }
        : {}),
    }));
    this.costs.show(times, costs, { stepS });
    this.savings.show(
      times,
      [
        { name: "at Claude, at most", values: of("would_cost_high_microusd"), colour: 1, dash: 2 },
        { name: "at Claude, expected", values: of("would_cost_microusd"), colour: 1, dash: 0 },
        { name: "at Claude, at least", values: of("would_cost_low_microusd"), colour: 1, dash: 1 },
        { name: "cost, with failed attempts", values: of("spent_microusd"), colour: 0, dash: 0 },
      ],
      { stepS, band: [0, 2] },
    );
  }
}

function columns(by, total) {
  return [
    { title: by, cell: (row) => named(row.name) },
    { title: "Requests", numeric: true, cell: (row) => count(row.requests) },
    { title: "Fell back", numeric: true, cell: (row) => count(row.fallbacks) },
    { title: "Failed", numeric: true, cell: (row) => count(row.failed) },
    { title: "Input", numeric: true, cell: (row) => short(row.input_tokens) },
    { title: "Cache read", numeric: true, cell: (row) => short(row.cache_read_tokens) },
    { title: "Output", numeric: true, cell: (row) => short(row.output_tokens) },
    { title: "Cost", numeric: true, cell: cost },
    { title: "Share", numeric: true, cell: (row) => percent(row.cost_microusd, total.cost_microusd) },
    {
      title: "Would have cost",
      numeric: true,
      cell: (row) => (row.compared ? usd(row.would_cost_microusd) : "–"),
    },
  ];
}
