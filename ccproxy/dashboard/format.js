// Numbers, money and times as people read them. Unknown is said, never shown as 0.

const UNKNOWN = "unknown";
const counts = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function count(value) {
  return value === null || value === undefined ? UNKNOWN : counts.format(value);
}

export function short(value) {
  return value === null || value === undefined ? UNKNOWN : compact.format(value);
}

/** Microdollars as dollars, to the cent; to the hundredth of a cent below a dollar. */
export function usd(microusd) {
  if (microusd === null || microusd === undefined) return UNKNOWN;
  const dollars = Math.abs(microusd) / 1e6;
  const digits = dollars === 0 || dollars >= 1 ? 2 : 4;
  const sign = microusd < 0 ? "−" : "";
  const text = dollars.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return Number(text) === 0 && microusd !== 0 ? `${sign}<$0.0001` : `${sign}$${text}`;
}

/** Microdollars on an axis, with as many digits as its steps need. */
export function usdOnAxis(microusd, step) {
  const digits = Math.max(2, Math.min(6, Math.ceil(-Math.log10(step / 1e6))));
  return `$${(microusd / 1e6).toFixed(microusd ? digits : 2)}`;
}

/** Whole numbers on an axis; between them stands nothing. */
export function countOnAxis(value) {
  return Number.isInteger(value) ? counts.format(value) : "";
}

/** Cost of a group, and how many of its requests it leaves out. */
export function cost(row) {
  const unknown = row.unpriced ? ` + ${count(row.unpriced)} unknown` : "";
  return usd(row.cost_microusd) + unknown;
}

export function seconds(value) {
  if (value === null || value === undefined) return UNKNOWN;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(value % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function gib(bytes) {
  return bytes === null || bytes === undefined ? UNKNOWN : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

export function percent(part, whole) {
  return whole ? `${((100 * part) / whole).toFixed(1)} %` : "–";
}

/** Unix seconds, or a time in ISO 8601, as `2026-03-31 14:30:05`. */
export function moment(at) {
  const date = new Date(typeof at === "number" ? at * 1000 : (at ?? NaN));
  return Number.isNaN(date.getTime()) ? UNKNOWN : date.toISOString().slice(0, 19).replace("T", " ");
}

/** Unix seconds as they stand on an axis with steps of `stepS`. */
export function tick(unixS, stepS) {
  const iso = new Date(unixS * 1000).toISOString();
  const isMidnight = unixS % 86400 === 0;
  if (stepS >= 86400 * 28) return iso.slice(0, 7);
  return stepS >= 86400 || isMidnight ? iso.slice(5, 10) : iso.slice(11, 16);
}

/** A name that may be empty. */
export function named(name) {
  return name === null ? "all others" : name === "" ? "(none)" : name;
}
