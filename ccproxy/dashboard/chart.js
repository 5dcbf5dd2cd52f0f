// A chart of lines over time: drawn by uPlot, with a legend of buttons and the same figures as a
// table, so that neither a pointer nor eyes are needed.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { el, fill, table } from "./dom.js";
import { moment, tick } from "./format.js";

const HEIGHT_PX = 220;
const MOST_DOTS = 30;
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 5], [1, 5], [16, 4]];
const dark = matchMedia("(prefers-color-scheme: dark)");

function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class Chart {
  /**
   * @param {string} title
   * @param {(value: number) => string} format
   * @param {(value: number, step: number) => string} onAxis How values stand there, `step` apart.
   */
  constructor(title, format, onAxis = format) {
    this.title = title;
    this.format = format;
    this.onAxis = onAxis;
    this.hidden = new Set();
    this.shown = null;
    this.plot = null;
    this.legend = el("div", { class: "legend", role: "group", "aria-label": `Lines of: ${title}` });
    this.canvas = el("div", { class: "plot", role: "img" });
    this.figures = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` });
    this.details = el("details", { on: { toggle: () => this.#tell() } }, el("summary", {}, "As a table"), this.figures);
    this.element = el(
      "figure",
      { class: "chart" },
      el("figcaption", {}, title),
      this.legend,
      this.canvas,
      this.details,
    );
    dark.addEventListener("change", () => this.#draw());
    new ResizeObserver(() => this.#fit()).observe(this.canvas);
  }

  /**
   * Show lines.
   *
   * @param {number[]} times Unix seconds.
   * @param {{name: string, values: (number|null)[], colour?: number, dash?: number}[]} series
   * @param {{stepS: number, band?: [number, number]}} options `band` is filled between two lines.
   */
  show(times, series, options) {
    this.shown = { times, series, options };
    this.#draw();
    this.#tell();
  }

  #draw() {
    if (!this.shown) return;
    const { times, series, options } = this.shown;
    this.plot?.destroy();
    const text = variable("--text-soft");
    const ground = variable("--card");
    const grid = { stroke: variable("--grid"), width: 1 };
    const lines = series.map((line, number) => ({
      label: line.name,
      stroke: variable(`--line-${((line.colour ?? number) % 7) + 1}`),
      dash: DASHES[(line.dash ?? number) % DASHES.length],
      width: 2,
      show: !this.hidden.has(line.name),
      // A line through few figures has none that anybody would see.
      points: { show: line.values.filter((value) => value !== null).length <= MOST_DOTS, size: 6, fill: ground },
    }));
    const band = options.band && {
      bands: [{ series: options.band.map((number) => number + 1), fill: variable("--band") }],
    };
    this.plot = new uPlot(
      {
        width: this.canvas.clientWidth || 300,
        height: HEIGHT_PX,
        tzDate: (unixS) => uPlot.tzDate(new Date(unixS * 1000), "UTC"),
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
        axes: [
          {
            stroke: text,
            grid,
            ticks: grid,
            values: (_plot, splits, _axis, _space, step) => splits.map((at) => tick(at, step)),
          },
          {
            stroke: text,
            grid,
            ticks: grid,
            size: 72,
            values: (_plot, splits, _axis, _space, step) => splits.map((value) => this.onAxis(value, step)),
          },
        ],
        series: [{}, ...lines],
        ...band,
      },
      [times, ...series.map((line) => line.values)],
      this.canvas,
    );
    this.canvas.setAttribute("aria-label", this.#summary());
    const keys = JSON.stringify(series.map(({ name, colour, dash }) => [name, colour, dash]));
    if (keys !== this.keys) {
      // Left alone otherwise: somebody's focus may be on one of the buttons.
      this.keys = keys;
      fill(this.legend, series.map((line, number) => this.#key(line, number)));
    }
  }

  #key(line, number) {
    const sample = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const stroke = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const shape = { x1: 0, x2: 28, y1: 5, y2: 5, class: `line-${((line.colour ?? number) % 7) + 1}` };
    for (const [key, value] of Object.entries(shape)) stroke.setAttribute(key, value);
    stroke.setAttribute("stroke-dasharray", DASHES[(line.dash ?? number) % DASHES.length].join(" "));
    sample.setAttribute("aria-hidden", "true");
    sample.setAttribute("viewBox", "0 0 28 10");
    sample.append(stroke);
    const isShown = !this.hidden.has(line.name);
    const button = el("button", { type: "button", "aria-pressed": String(isShown) }, sample, line.name);
    button.addEventListener("click", () => {
      if (!this.hidden.delete(line.name)) this.hidden.add(line.name);
      const nowShown = !this.hidden.has(line.name);
      button.setAttribute("aria-pressed", String(nowShown));
      this.plot.setSeries(number + 1, { show: nowShown });
    });
    return button;
  }

  #summary() {
    const { times, series } = this.shown;
    const parts = series.map((line) => {
      const known = line.values.filter((value) => value !== null);
      if (!known.length) return `${line.name}: nothing`;
      return `${line.name}: at most ${this.format(Math.max(...known))}`;
    });
    return `${this.title}, ${moment(times[0])} to ${moment(times.at(-1))}. ${parts.join(". ")}.`;
  }

  #tell() {
    if (!this.details.open || !this.shown) return;
    const { times, series } = this.shown;
    const columns = [
      { title: "From", cell: (index) => moment(times[index]) },
      ...series.map((line) => ({
        title: line.name,
        numeric: true,
        cell: (index) => (line.values[index] === null ? "–" : this.format(line.values[index])),
      })),
    ];
    const newestFirst = times.map((_, index) => times.length - 1 - index);
    fill(this.figures, [table(this.title, columns, newestFirst)]);
  }

  #fit() {
    const width = this.canvas.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT_PX });
  }
}
