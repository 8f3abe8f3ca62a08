// Lines drawn as SVG. A value that is unknown is a gap, never a zero.

import { svg } from "./dom.js";
import * as format from "./format.js";

function extent(values, include) {
  const known = values.concat(include).filter((v) => v !== null && v !== undefined);
  if (!known.length) return null;
  let low = Math.min(...known);
  let high = Math.max(...known);
  if (low === high) {
    const room = Math.abs(low) * 0.1 || 1;
    low -= room;
    high += room;
  }
  return [low, high];
}

/** Paths of the known stretches; a point between two gaps becomes a dot. */
function stretches(points, x, y) {
  const lines = [];
  const dots = [];
  let open = [];
  const close = () => {
    if (open.length === 1) dots.push(open[0]);
    if (open.length > 1) lines.push("M" + open.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L"));
    open = [];
  };
  points.forEach(([at, value], i) => {
    if (value === null || value === undefined) close();
    else open.push([x(at, i), y(value)]);
  });
  close();
  return { lines, dots };
}

/** A small line with its target; decoration beside figures that say the same, so hidden from screen readers. */
export function sparkline(points, { width = 96, height = 24, target = null, range = null, tone = "" } = {}) {
  const root = svg("svg", {
    class: `spark ${tone}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  const found = range || extent(points.map((p) => p[1]), [target]);
  if (!found || points.filter((p) => p[1] !== null).length < 2) return root; // one point is no line
  const [low, high] = found;
  const pad = 3;
  const first = points[0][0];
  const long = points[points.length - 1][0] - first || 1;
  const x = (at) => (points.length === 1 ? width - pad : pad + ((at - first) / long) * (width - 2 * pad));
  const y = (v) => height - pad - ((Math.min(high, Math.max(low, v)) - low) / (high - low)) * (height - 2 * pad);
  if (target !== null && target !== undefined) {
    root.append(svg("line", { class: "goal", x1: 0, x2: width, y1: y(target), y2: y(target) }));
  }
  const { lines, dots } = stretches(points, x, y);
  if (lines.length) root.append(svg("path", { class: "trace", d: lines.join(" ") }));
  // lines of no length with round ends stay round however the drawing is stretched
  for (const [cx, cy] of dots) root.append(svg("path", { class: "dot", d: `M${cx.toFixed(1)} ${cy.toFixed(1)}h0` }));
  const last = points[points.length - 1];
  if (last[1] !== null) root.append(svg("path", { class: "now", d: `M${x(last[0]).toFixed(1)} ${y(last[1]).toFixed(1)}h0` }));
  return root;
}

function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= rough) || rough;
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) found.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return found;
}

/** Months with axis, target steps and a point a month that says its value; ``label`` says it all in words. */
export function trend(months, { width = 560, height = 150, decimals = 1, unit = "", label = "", limits = null } = {}) {
  const scaled = format.better(Math.max(0, ...months.map((m) => Math.abs(m.value ?? 0))), unit);
  if (scaled) {
    const per = (value) => (value === null || value === undefined ? value : value / scaled[0]);
    months = months.map((m) => ({ ...m, value: per(m.value), target: per(m.target) }));
    [decimals, unit] = [1, scaled[1]];
  }
  // drawn at about the size it is shown in, so that its words stay legible on a phone
  width = Math.min(width, Math.max(300, innerWidth - 40));
  const known = months.filter((m) => m.value !== null);
  const root = svg("svg", { class: "trend", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const found = limits || extent(months.map((m) => m.value), months.map((m) => m.target ?? null));
  if (!known.length || !found) {
    root.append(svg("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, "No month with a value yet"));
    return root;
  }
  const room = limits ? 0 : (found[1] - found[0]) * 0.08;
  const [low, high] = [found[0] - room, found[1] + room];
  const box = { left: 54, right: 10, top: 8, bottom: 22 };
  const step = (width - box.left - box.right) / Math.max(1, months.length - 1);
  const every = step < 34 ? 3 : 2;
  const x = (i) => (months.length === 1 ? width / 2 : box.left + i * step);
  const y = (v) => height - box.bottom - ((v - low) / (high - low)) * (height - box.top - box.bottom);
  for (const v of ticks(low, high)) {
    root.append(svg("line", { class: "grid", x1: box.left, x2: width - box.right, y1: y(v), y2: y(v) }));
    const text = new Intl.NumberFormat("en", { maximumFractionDigits: Math.max(decimals, 2), notation: Math.abs(v) >= 1e5 ? "compact" : "standard" });
    root.append(svg("text", { class: "tick", x: box.left - 6, y: y(v) + 3.5, "text-anchor": "end" }, text.format(v).replace("-", "\u2212")));
  }
  months.forEach((m, i) => {
    if (i % every === (months.length - 1) % every) {
      root.append(svg("text", { class: "tick", x: x(i), y: height - 6, "text-anchor": i === months.length - 1 ? "end" : "middle" }, format.monthInitial(m.start)));
    }
  });
  const goals = stretches(months.map((m, i) => [i, m.target ?? null]), (_, i) => x(i), y);
  if (goals.lines.length) root.append(svg("path", { class: "goal", d: goals.lines.join(" ") }));
  const { lines } = stretches(months.map((m, i) => [i, m.value]), (_, i) => x(i), y);
  if (lines.length) root.append(svg("path", { class: "trace", d: lines.join(" ") }));
  months.forEach((m, i) => {
    if (m.value === null) return;
    const words = `${format.month(m.start)}: ${format.number(m.value, decimals)} ${unit}`;
    const open = m.state === "to_date" ? " open" : "";
    root.append(svg("circle", { class: `point ${format.TONE[m.status] || "none"}${open}`, cx: x(i), cy: y(m.value), r: 3.6 }, svg("title", null, words)));
  });
  return root;
}

/** Months of a trend with the missing ones between first and last put in as unknown. */
export function monthly(months) {
  const filled = [];
  for (const m of months) {
    const before = filled[filled.length - 1];
    if (before) {
      let [year, at] = [Number(before.start.slice(0, 4)), Number(before.start.slice(5, 7))];
      for (let guard = 0; guard < 24; guard += 1) {
        at += 1;
        if (at > 12) [year, at] = [year + 1, 1];
        const text = `${year}-${String(at).padStart(2, "0")}`;
        if (text >= m.start.slice(0, 7)) break;
        filled.push({ start: text, value: null, target: null, status: "unknown" });
      }
    }
    filled.push(m);
  }
  return filled;
}
