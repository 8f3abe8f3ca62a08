// Where every event ended, how far the pipeline is behind, and whether the store is well.

import { el, replace } from "./dom.js";
import { ask } from "./feed.js";
import * as format from "./format.js";
import { shape } from "./marks.js";

const EXITS = [
  ["kpi", "KPI", "made a KPI value"],
  ["dead_letter", "Dead letter", "invalid; kept with its reason, can be replayed"],
  ["duplicate", "Duplicate", "seen before"],
  ["unmapped", "Unmapped", "no service or KPI claims it"],
  ["ignored", "Ignored", "by rule: control events, superseded updates, beyond the horizon"],
];
const WORDS = Object.fromEntries(EXITS.map(([name, word]) => [name, word]));

function share(part, whole) {
  if (!whole) return "\u2013";
  const value = (100 * part) / whole;
  return part > 0 && value < 0.01 ? "< 0.01%" : `${value.toFixed(2)}%`;
}

function health(found) {
  const progress = found.progress;
  const rows = [];
  const row = (name, tone, words) => rows.push(el("div", null, el("dt", null, name), el("dd", null, shape(tone), " ", words)));
  row("Store", found.health.error ? "bad" : "good", found.health.error || found.health.store);
  row("Data", found.stale ? "warn" : "good", found.clock ? `counted up to ${format.clockTime(found.clock)}` : "no event yet");
  if (progress && !progress.error) {
    row("Lag", found.stale && progress.lag ? "warn" : "good", progress.lag ? `${format.count(progress.lag)} messages on their way` : "nothing waits");
    row("Pending", found.stale && progress.pending ? "warn" : "good", progress.pending ? `${format.count(progress.pending)} to be worked out or written` : "everything is written");
    row("State", progress.recovered ? "good" : "warn", progress.recovered ? "recovered" : "recovering");
    for (const [name, words] of Object.entries(progress.problems || {})) row(name, "bad", String(words));
  } else if (progress) row("Worker", "bad", progress.error);
  return el("dl", { class: "health" }, rows);
}

function exitBars(totals) {
  return el("table", { class: "exit-table" },
    el("thead", null, el("tr", null, el("th", { scope: "col" }, "Exit"), el("th", { scope: "col", class: "num" }, "Events"), el("th", { scope: "col", class: "num" }, "Share"), el("th", { scope: "col" }, "Meaning"))),
    el("tbody", null, EXITS.map(([name, word, means]) => el("tr", null, el("th", { scope: "row" }, word), el("td", { class: "num" }, format.count(totals[name])), el("td", { class: "num" }, share(totals[name], totals.received)), el("td", { class: "dim" }, means)))),
    el("tfoot", null, el("tr", null, el("th", { scope: "row" }, "In"), el("td", { class: "num" }, format.count(totals.received)), el("td", { class: "num" }, totals.balanced ? "in = out" : ""), el("td", { class: totals.balanced ? "dim" : "caution" }, totals.balanced ? "every event ended in exactly one exit" : "in and out differ while counts are being written"))),
  );
}

function reasonTable(reasons) {
  const shown = reasons.filter((r) => r.count > 0);
  if (!shown.length) return el("p", { class: "dim" }, "No event was turned away.");
  return el("table", { class: "reason-table" },
    el("thead", null, el("tr", null, el("th", { scope: "col" }, "Reason"), el("th", { scope: "col" }, "Exit"), el("th", { scope: "col", class: "num" }, "Events"))),
    el("tbody", null, shown.map((r) => el("tr", null, el("th", { scope: "row" }, r.reason || "\u2013"), el("td", null, WORDS[r.exit] || r.exit), el("td", { class: "num" }, format.count(r.count))))),
  );
}

function partitionTable(found) {
  const lag = (found.progress && found.progress.lag_by_topic) || {};
  const positions = (found.progress && found.progress.positions) || {};
  return el("table", { class: "partition-table" },
    el("thead", null, el("tr", null, ["Topic / partition", "In", ...EXITS.map(([, word]) => word), "Position", "Clock"].map((h, i) => el("th", { scope: "col", class: i ? "num" : null }, h)))),
    el("tbody", null, found.partitions.map((p) => el("tr", null,
      el("th", { scope: "row" }, `${p.topic} / ${p.partition}`, lag[p.topic] ? el("small", null, ` ${format.count(lag[p.topic])} of the topic on their way`) : null),
      el("td", { class: "num" }, format.count(p.received)),
      EXITS.map(([name]) => el("td", { class: p[name] ? "num" : "num dim" }, format.count(p[name]))),
      el("td", { class: "num dim" }, positions[`${p.topic}/${p.partition}`] !== undefined ? format.count(positions[`${p.topic}/${p.partition}`]) : "\u2013"),
      el("td", { class: "num" }, format.clockTime(p.clock))))),
  );
}

const orError = (promise) => promise.catch((error) => ({ error: error.message }));

export function pipeline() {
  return {
    name: "pipeline",
    times: "none",
    scopeless: true,
    streams: false,
    title: () => "Pipeline",
    async load() {
      const [exits, store, progress] = await Promise.all([ask("exits"), orError(ask("health")), orError(ask("progress"))]);
      return { ...exits, health: store, progress };
    },
    streamed: () => ({}),
    render(root, found) {
      const across = root.querySelector(".scroll")?.scrollLeft || 0;
      replace(root,
        el("div", { class: "strip" }, el("h1", null, "Pipeline")),
        el("section", { "aria-label": "Health" }, health(found)),
        el("div", { class: "two" },
          el("section", null, el("h2", { id: "exits" }, "Five exits"), el("div", { class: "wide", tabindex: 0, role: "region", "aria-labelledby": "exits" }, exitBars(found.totals))),
          el("section", null, el("h2", { id: "reasons" }, "Reasons"), el("div", { class: "wide", tabindex: 0, role: "region", "aria-labelledby": "reasons" }, reasonTable(found.reasons))),
        ),
        el("section", null, el("h2", { id: "partitions" }, "Source partitions"),
          el("p", { class: "dim lead" }, "Position: the offset of the next message; a message may hold many events. Clock: when the newest counted event arrived."),
          found.partitions.length ? el("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "partitions" }, partitionTable(found)) : el("p", { class: "dim" }, "No event has arrived yet.")),
      );
      const scroll = root.querySelector(".scroll");
      if (scroll) scroll.scrollLeft = across;
    },
  };
}
