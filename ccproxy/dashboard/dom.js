// Elements from data. Whatever comes from the proxy becomes text, never markup: agents' and models'
// names are chosen by clients.

const FIRST_ROWS = 15;

/** Return an element; children are elements or texts, null is left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  fill(element, children);
  return element;
}

/** Put children in the place of what an element holds. */
export function fill(element, children) {
  const nodes = children
    .flat()
    .filter((child) => child !== null && child !== undefined)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
  element.replaceChildren(...nodes);
}

/** Return the part of a section that its script fills. */
export function part(section, name) {
  return document.querySelector(`#${section} [data-part="${name}"]`);
}

/** Return a paragraph that says that there is nothing, or what is wrong. */
export function notice(text, kind = "empty") {
  return el("p", { class: kind }, text);
}

/**
 * Return a table. On a narrow screen each row becomes a card that names its columns; the roles keep
 * it a table for those who do not see it.
 *
 * @param {string} caption
 * @param {{title: string, cell: (row: any) => any, numeric?: boolean, wide?: boolean}[]} columns
 *   Those of a `wide` one are long and get a line of their own on a card.
 * @param {any[]} rows
 */
export function table(caption, columns, rows) {
  const align = (column) => (column.numeric ? "number" : column.wide ? "wide" : null);
  const head = columns.map((column) =>
    el("th", { scope: "col", role: "columnheader", class: align(column) }, column.title),
  );
  const body = rows.map((row) =>
    el(
      "tr",
      { role: "row" },
      ...columns.map((column) =>
        el("td", { role: "cell", class: align(column), "data-label": column.title }, column.cell(row)),
      ),
    ),
  );
  return el(
    "table",
    { role: "table" },
    el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
    el("tbody", { role: "rowgroup" }, ...body),
  );
}

/** Return a table of the first rows, and a button for the others. */
export function listing(caption, columns, rows) {
  const host = el("div");
  const show = (shown) => {
    const all = { type: "button", on: { click: () => show(rows) } };
    const more = shown.length < rows.length ? el("button", all, `Show all ${rows.length}`) : null;
    fill(host, [table(caption, columns, shown), more]);
  };
  show(rows.slice(0, FIRST_ROWS));
  return host;
}

/** Return a word with a mark beside it, so that its colour is not all there is. */
export function state(word, isGood, isBad) {
  const kind = isGood ? "good" : isBad ? "bad" : "neutral";
  const mark = { good: "●", bad: "▲", neutral: "○" }[kind];
  return el("span", { class: `state ${kind}` }, el("span", { "aria-hidden": "true" }, mark), ` ${word}`);
}
