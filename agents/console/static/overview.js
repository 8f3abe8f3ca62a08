// The eight tiles.

import { sparkline } from "./chart.js";
import { el, replace } from "./dom.js";
import { ask } from "./feed.js";
import * as format from "./format.js";
import { csfStatus, quietStatus, shape } from "./marks.js";
import { href } from "./nav.js";

const RANK = { concern: 0, at_risk: 1, unknown: 2, aligned: 3 };

/** Score at which a CSF is aligned, as the organisation sets it. */
let aligned = 80;

/** Scores are drawn from the lowest shown, but never so close that a small change looks like a fall. */
function scoreFloor(points) {
  const known = points.map((p) => p[1]).filter((v) => v !== null);
  return Math.max(0, Math.min(50, ...known) - 5);
}

function kpiRow(kpi, before) {
  const moved = before && before.value !== kpi.value;
  const known = kpi.value !== null;
  const target = kpi.target === null ? "" : format.bound(kpi.target, kpi);
  return el("li", { class: "kpi", title: kpi.reason || null },
    quietStatus(kpi.status),
    el("span", { class: "name" }, kpi.name),
    sparkline(kpi.sparkline, { width: 72, height: 26, target: kpi.target }),
    el("span", { class: `value${known ? "" : " unknown"}${moved ? " moved" : ""}` },
      known ? format.figure(kpi.value, kpi) : "unknown", known ? el("small", null, format.unitOf(kpi.value, kpi.unit)) : null),
    el("span", { class: "target" }, known && !(kpi.status === "unknown" && kpi.reason) ? target : format.brief(kpi.reason)),
  );
}

function tile(csf, before) {
  const worst = csf.worst_service;
  const moved = before && format.score(before.score) !== format.score(csf.score);
  const kpis = csf.kpis.map((kpi) => kpiRow(kpi, before && before.kpis.find((k) => k.id === kpi.id)));
  return el("article", { class: `tile ${format.TONE[csf.status]}`, "data-csf": csf.id, "aria-labelledby": `csf-${csf.id}` },
    el("header", null,
      el("h2", { id: `csf-${csf.id}` }, el("a", { href: href(`/csf/${encodeURIComponent(csf.id)}`), "data-nav": true, "data-key": csf.id }, csf.name)),
      el("p", { class: "statement" }, csf.statement),
    ),
    el("div", { class: "verdict" },
      csfStatus(csf.status),
      el("span", { class: `score${moved ? " moved" : ""}` }, el("span", { class: "sr" }, "score "), format.score(csf.score), el("small", null, csf.score === null ? "" : "/100")),
      sparkline(csf.sparkline, { width: 150, height: 34, range: [scoreFloor(csf.sparkline), 100], target: aligned }),
    ),
    el("ul", { class: "kpis" }, kpis),
    el("footer", null,
      csf.reason && csf.status === "unknown"
        ? el("span", { class: "worst reason" }, csf.reason)
        : worst
          ? el("span", { class: "worst" }, el("span", null, "Worst"), el("a", { href: href(`/csf/${encodeURIComponent(csf.id)}`, { scope: worst.scope }), "data-nav": true, "data-key": `${csf.id}-worst` }, worst.name), shape(format.TONE[worst.status]), el("b", null, format.score(worst.score)))
          : el("span", { class: "worst" }),
      csf.reason && csf.coverage === null ? null : el("span", { class: "cover", title: "Share of the elapsed time for which the sources of its KPIs delivered" }, el("span", { class: "long" }, "coverage "), el("span", { class: "short", "aria-hidden": "true" }, "cov. "), format.percent(csf.coverage)),
    ),
  );
}

function sorted(csfs, worstFirst) {
  if (!worstFirst) return csfs;
  return [...csfs].sort((a, b) => RANK[a.status] - RANK[b.status] || (a.score ?? 101) - (b.score ?? 101));
}

function tally(csfs) {
  const counts = { concern: 0, at_risk: 0, unknown: 0, aligned: 0 };
  for (const csf of csfs) counts[csf.status] += 1;
  return Object.entries(counts).filter(([, n]) => n).map(([status, n]) => el("li", null, shape(format.TONE[status]), el("b", null, n), ` ${format.CSF_WORDS[status].toLowerCase()}`));
}

function exitsLine(totals) {
  const out = (name, words, warn) => el("span", { class: warn && totals[name] ? "exit some" : "exit" }, el("b", null, format.compact(totals[name])), ` ${words}`);
  return [
    el("span", { class: "exit" }, el("b", null, format.compact(totals.received)), " events in"),
    out("kpi", "to KPIs"), out("dead_letter", "dead letters", true), out("duplicate", "duplicates"), out("unmapped", "unmapped", true), out("ignored", "ignored"),
    totals.balanced ? null : el("span", { class: "exit some" }, "counts do not add up yet"),
  ];
}

export function overview() {
  let document_ = null;
  const worstFirst = () => new URLSearchParams(location.search).get("order") === "worst";

  function summary(root) {
    replace(root.querySelector(".tally"), tally(document_.csfs));
    root.querySelector(".span").textContent = `${document_.scope_name}, ${format.span(document_)}`;
    replace(root.querySelector(".exits .counts"), exitsLine(document_.exits));
  }

  function arrange(root) {
    const grid = root.querySelector(".tiles");
    const nodes = new Map([...grid.children].map((n) => [n.dataset.csf, n]));
    const order = sorted(document_.csfs, worstFirst()).map((c) => nodes.get(c.id));
    if (order.some((n, i) => grid.children[i] !== n)) {
      const active = document.activeElement;
      grid.append(...order);
      if (grid.contains(active)) active.focus({ preventScroll: true });
    }
  }

  function merge(root, news) {
    for (const csf of news.csfs) {
      const at = document_.csfs.findIndex((c) => c.id === csf.id);
      const old = [...root.querySelectorAll("article")].find((n) => n.dataset.csf === csf.id);
      if (at < 0 || !old) continue;
      const before = document_.csfs[at];
      if (JSON.stringify(before) === JSON.stringify(csf)) continue;
      document_.csfs[at] = csf;
      const key = old.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      const fresh = tile(csf, before);
      old.replaceWith(fresh);
      if (key) [...fresh.querySelectorAll("[data-key]")].find((n) => n.dataset.key === key)?.focus({ preventScroll: true });
    }
    for (const name of ["exits", "start", "end", "scope_name"]) if (news[name] !== undefined) document_[name] = news[name];
    summary(root);
    arrange(root);
  }

  return {
    name: "overview",
    times: "all",
    streams: true,
    title: () => "Overview",
    load: (parameters) => ask("csfs", parameters),
    streamed: (parameters) => parameters,
    render(root, found, info) {
      aligned = info.aligned_score;
      if (document_ && root.querySelector(".tiles")) {
        merge(root, found);
        return;
      }
      document_ = found;
      const order = el("input", { type: "checkbox", id: "order", checked: worstFirst(), "data-key": "order" });
      order.addEventListener("change", () => {
        history.replaceState(null, "", href("/", { order: order.checked ? "worst" : null }));
        arrange(root);
      });
      replace(root,
        el("div", { class: "strip" },
          el("h1", null, el("span", { class: "sr" }, "Critical success factors: "), el("span", { class: "span" })),
          el("ul", { class: "tally", "aria-label": "How many CSFs have which status" }),
          el("label", { class: "order", for: "order" }, order, " Worst first"),
        ),
        el("section", { class: "tiles", "aria-label": "The eight critical success factors" }, sorted(found.csfs, worstFirst()).map((c) => tile(c, null))),
        el("section", { class: "exits", "aria-label": "Where events ended" }, el("span", { class: "counts" }), el("a", { href: href("/pipeline"), "data-nav": true, "data-key": "exits" }, "Pipeline")),
      );
      summary(root);
    },
    csfs: merge,
    clock(root, news) {
      if (news.exits) {
        document_.exits = news.exits;
        summary(root);
      }
    },
  };
}

