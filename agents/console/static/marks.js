// Status as word, shape and colour together.

import { el, svg } from "./dom.js";
import { CSF_WORDS, KPI_WORDS, TONE } from "./format.js";

/** Disc: good. Triangle: warning. Diamond with a bar: bad. Dashed ring: unknown. */
export function shape(tone) {
  const root = svg("svg", { class: `mark ${tone}`, viewBox: "0 0 16 16", "aria-hidden": "true" });
  if (tone === "good") root.append(svg("circle", { cx: 8, cy: 8, r: 5.6 }));
  else if (tone === "warn") root.append(svg("path", { d: "M8 1.8 15 14.2H1z" }));
  else if (tone === "bad") root.append(svg("path", { d: "M8 .6 15.4 8 8 15.4.6 8z" }), svg("path", { class: "cut", d: "M4.8 7h6.4v2H4.8z" }));
  else root.append(svg("circle", { class: "ring", cx: 8, cy: 8, r: 5.4 }));
  return root;
}

export function status(value, words) {
  const tone = TONE[value] || "none";
  return el("span", { class: `status ${tone}` }, shape(tone), el("span", null, words[value] || value));
}

export const csfStatus = (value) => status(value, CSF_WORDS);
export const kpiStatus = (value) => status(value, KPI_WORDS);

/** The shape alone where the row has no room, with the word for screen readers and as a tip. */
export function quietStatus(value) {
  const tone = TONE[value] || "none";
  const word = KPI_WORDS[value] || CSF_WORDS[value] || value;
  return el("span", { class: "quiet", title: word }, shape(tone), el("span", { class: "sr" }, word));
}
