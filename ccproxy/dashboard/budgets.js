// What is left of the budgets: /admin/budgets.

import { get } from "./api.js";
import { el, fill, notice, part, table } from "./dom.js";
import { count, usd } from "./format.js";

export class Budgets {
  ask(_hours, signal) {
    return get("admin/budgets", signal);
  }

  show(told) {
    const parts = told.budgets.length
      ? [table("Budgets", COLUMNS, told.budgets)]
      : [notice("No budget is set. The block budgets in ccproxy.yaml sets them.")];
    if (!told.restored) {
      parts.unshift(notice("What was spent before the start is still being read from the ledger.", "problem"));
    }
    fill(part("budgets", "body"), parts);
  }
}

const amount = (budget, value) => (budget.counts === "usd" ? usd(value) : count(value));

function used(budget) {
  const fullest = budget.tallies[0];
  if (!fullest) return "nothing yet";
  const share = Math.min(1, fullest.used_ratio);
  const whose = fullest.value ? `${fullest.value}: ` : "";
  const reserved = fullest.reserved ? `, ${amount(budget, fullest.reserved)} reserved` : "";
  return [
    el("meter", { min: 0, max: 1, high: 0.8, value: share, "aria-label": `${budget.name}, used` }),
    ` ${whose}${amount(budget, fullest.used)}${reserved} (${Math.round(fullest.used_ratio * 100)} %)`,
  ];
}

const COLUMNS = [
  { title: "Budget", cell: (row) => row.name },
  { title: "For", cell: (row) => (row.value ? `${row.scope} ${row.value}` : row.scope) },
  { title: "Limit", numeric: true, cell: (row) => `${amount(row, row.limit)} ${row.counts === "usd" ? "" : row.counts}` },
  { title: "Per", cell: (row) => row.window ?? "at once" },
  { title: "Used, of the fullest", cell: used },
  { title: "When it is reached", cell: (row) => row.on_reach },
  { title: "Refused", numeric: true, cell: (row) => count(row.refusals) },
  { title: "Opens again", cell: (row) => (row.opens_at ?? "–").replace("T", " ") },
];
