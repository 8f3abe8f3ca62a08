// How every stream of every connector is doing, those that need somebody first.

import { el, replace } from "./dom.js";
import { ask } from "./feed.js";
import * as format from "./format.js";
import { shape } from "./marks.js";

const STATES = {
  silent: ["bad", "Silent"],
  failing: ["bad", "Failing"],
  waiting: ["warn", "Waiting"],
  never_asked: ["none", "Never asked"],
  fine: ["good", "Fine"],
};
const MEANS = [
  ["silent", "nothing was read for 15 minutes or three polls, or the connector does not run"],
  ["failing", "the last poll did not come to its end; it is tried again"],
  ["waiting", "the source asked to be left alone for a while (rate limit)"],
  ["never_asked", "configured, and not read yet"],
  ["fine", "read to its end when it was last due"],
];
const NUMERIC = new Set(["Last read", "Behind", "Requests", "Waits", "Events", "Lost"]);

function mark(state) {
  const [tone, word] = STATES[state];
  return el("span", { class: `status ${tone}` }, shape(tone), el("span", null, word));
}

/** A number beside what explains it; a dash with its reason where nobody counts. */
function figure(label, value, more) {
  const known = value !== null && value !== undefined;
  return el("td", { class: known ? "num" : "num untold", "data-label": label },
    known ? format.count(value) : el("span", { class: "dim", title: "this source does not tell" }, "\u2013"),
    more ? el("small", null, more) : null);
}

function lost(s) {
  const parts = [[s.truncated, "hidden by a limit"], [s.refused, "refused"], [s.forgotten, "given up"]].filter(([number]) => number);
  const at = s.truncated_at ? `last ${format.clockTime(s.truncated_at)}` : "";
  return el("td", { class: parts.length ? "num" : "num untold", "data-label": "Lost" },
    parts.length ? parts.map(([number, what]) => el("span", { class: "loss" }, format.count(number), el("small", null, ` ${what}`))) : "0",
    at ? el("small", null, at) : null);
}

/** What else there is to say: why, the last error, services that nobody named. */
function notes(s) {
  const said = [];
  if (s.why) said.push(el("p", null, `${s.why[0].toUpperCase()}${s.why.slice(1)}.`));
  if (s.waits_until) said.push(el("p", null, `It is asked again at ${format.clockTime(s.waits_until)}.`));
  if (s.error) said.push(el("p", null, el("span", { class: "dim" }, s.error_at ? `Last error, ${format.clockTime(s.error_at)}: ` : "Error: "), s.error));
  if (s.unmapped.length) {
    const ids = s.unmapped.map((u) => `${u.id} (${format.count(u.records)})`).join(", ");
    said.push(el("p", null, el("span", { class: "dim" }, "Services without a name here: "), ids));
  }
  return said.length ? said : null;
}

function row(s) {
  const told = notes(s);
  return [
    el("tr", { class: told ? "told" : null },
      el("th", { scope: "row" }, s.stream ? el("span", null, s.source, el("span", { class: "dim" }, " / "), s.stream) : s.source, s.title ? el("small", null, s.title) : null),
      el("td", { "data-label": "State" }, mark(s.state)),
      el("td", { class: "num", "data-label": "Last read" }, s.success_at ? el("time", { datetime: s.success_at, title: format.clockTime(s.success_at) }, format.age(s.success_age_s)) : "never"),
      el("td", { class: s.behind ? "num caution" : "num", "data-label": "Behind" }, s.delivered_until ? el("span", { title: `everything until ${format.clockTime(s.delivered_until)} was delivered` }, format.length(s.lag_s)) : "\u2013"),
      figure("Requests", s.requests),
      figure("Waits", s.rate_limit_waits, s.rate_limit_wait_s ? format.length(s.rate_limit_wait_s) : ""),
      figure("Events", s.events),
      lost(s)),
    told ? el("tr", { class: "notes" }, el("td", { colspan: 8 }, told)) : null,
  ];
}

function table(streams) {
  const names = ["Connector / stream", "State", "Last read", "Behind", "Requests", "Waits", "Events", "Lost"];
  return el("table", { class: "stacked connector-table" }, el("caption", { class: "sr" }, "Streams of connectors, those that need somebody first"),
    el("thead", null, el("tr", null, names.map((h) => el("th", { scope: "col", class: NUMERIC.has(h) ? "num" : null }, h)))),
    el("tbody", null, streams.map(row)));
}

function counts(found) {
  const shown = Object.keys(STATES).filter((state) => found.counts[state]);
  return el("p", { class: "counts" }, shown.map((state) => el("span", null, mark(state), ` ${format.count(found.counts[state])}`)));
}

function empty() {
  return el("p", null, "No connector has said anything yet, and none is configured. ",
    el("code", null, "csf connector list"), " shows which there are, and ", el("code", null, "csf connector run NAME"), " starts one that ",
    el("code", null, "connectors.yaml"), " in the data directory names.");
}

export function connectors() {
  return {
    name: "connectors",
    times: "none",
    scopeless: true,
    streams: false,
    title: () => "Connectors",
    load: () => ask("connectors"),
    streamed: () => ({}),
    render(root, found) {
      if (!found.streams.length) {
        replace(root, el("div", { class: "strip" }, el("h1", null, "Connectors")), el("section", null, empty()));
        return;
      }
      replace(root,
        el("div", { class: "strip" }, el("h1", null, "Connectors"), counts(found)),
        el("section", { "aria-label": "Streams" }, table(found.streams)),
        el("section", null, el("h2", null, "What the columns say"),
          el("dl", { class: "meanings" },
            MEANS.map(([state, words]) => el("div", null, el("dt", null, mark(state)), el("dd", null, words))),
            el("div", null, el("dt", null, "Behind"), el("dd", null, "how long ago the time ended until which everything was delivered")),
            el("div", null, el("dt", null, "Waits"), el("dd", null, "how often, and how long together, the source asked to be left alone")),
            el("div", null, el("dt", null, "Lost"), el("dd", null, "records that a limit of the source hides (their time counts as not covered), that are refused as they make no event (dead letters), or unfinished ones that are given up"))),
          el("p", { class: "dim" }, "Counts begin with the start of each connector. A dash: the source only says until when it told everything (source.polled).")));
    },
  };
}
