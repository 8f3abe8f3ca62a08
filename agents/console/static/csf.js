// The page of one CSF: its KPIs over the chosen time, their months, and its services.

import { monthly, sparkline, trend } from "./chart.js";
import { el, replace } from "./dom.js";
import { ask } from "./feed.js";
import * as format from "./format.js";
import { csfStatus, kpiStatus, quietStatus } from "./marks.js";
import { href } from "./nav.js";

const ACTIVITIES = { engage: "Engage", plan: "Plan", design_and_transition: "Design and transition", obtain_build: "Obtain/build", deliver_and_support: "Deliver and support", improve: "Improve" };

function fact(name, ...value) {
  return el("div", null, el("dt", null, name), el("dd", null, ...value));
}

function sample(kpi) {
  if (kpi.count === 0 && kpi.value === null) return "\u2013";
  return format.sample(kpi.count, kpi.sample_unit);
}

function provenance(kpi) {
  if (kpi.reported) return "reported by a source, not computed from events";
  if (kpi.numerator === null || kpi.denominator === null) return null;
  const plain = (v) => new Intl.NumberFormat("en", { maximumFractionDigits: 3 }).format(v).replace("-", "\u2212");
  return `${plain(kpi.numerator)} / ${plain(kpi.denominator)}`;
}

function details(kpi, months) {
  const means = kpi.definition;
  const limits = means.amber === null ? "none" : `amber beyond ${format.quantity(means.amber, kpi)}, red from ${format.quantity(means.red, kpi)}`;
  const points = months.map((m) => ({ ...m }));
  const known = points.filter((p) => p.value !== null);
  const words = known.length
    ? `${kpi.name} by month, ${format.month(known[0].start)} ${format.quantity(known[0].value, kpi)} to ${format.month(known[known.length - 1].start)} ${format.quantity(known[known.length - 1].value, kpi)}`
    : `${kpi.name}: no month with a value yet`;
  return el("div", { class: "more" },
    el("div", { class: "means" },
      el("p", null, means.definition),
      el("dl", null,
        fact("Numerator / denominator", provenance(kpi) || "not a ratio"),
        fact("Thresholds", limits),
        fact("Least sample", format.sample(kpi.min_sample, kpi.sample_unit)),
        fact("Weight", kpi.weight),
        fact("Owner", means.owner),
        fact("Business goal", means.goal || "none"),
        fact("Value chain", ACTIVITIES[means.activity] || means.activity),
        fact("Measured from", means.events.join(", ")),
        fact("Definition", `version ${kpi.definition_version}, ${means.measure}`),
      ),
      kpi.revisions.length
        ? el("ul", { class: "revisions" }, kpi.revisions.map((r) => el("li", null, `Revision ${r.revision} was ${format.quantity(r.value, kpi)}: ${r.reason}`)))
        : null,
    ),
    el("figure", null, trend(points, { decimals: kpi.decimals, unit: format.shortUnit(kpi.unit), label: words }), el("figcaption", null, `${format.withUnit("13 months", points, kpi.unit)}; dashed: target`)),
  );
}

function kpiRows(kpi, opened, toggle, before) {
  const months = monthly(kpi.trend);
  const change = format.change(kpi);
  const open = opened.has(kpi.id);
  const known = kpi.value !== null;
  const moved = before && before.value !== kpi.value;
  const line = months.map((m, i) => [i, m.value]);
  const child = kpi.breakdown_of !== null;
  const button = el("button", { type: "button", class: "open", "aria-expanded": open ? "true" : "false", "aria-controls": `more-${kpi.id}`, "data-key": `kpi-${kpi.id}`, on: { click: () => toggle(kpi.id) } },
    el("span", { class: "twist", "aria-hidden": "true" }), kpi.name);
  const row = el("tr", { class: child ? "child" : null },
    el("th", { scope: "row" }, button),
    el("td", { class: "num main", "data-label": "Value" },
      known ? el("span", { class: moved ? "value moved" : "value" }, format.figure(kpi.value, kpi), el("small", null, format.unitOf(kpi.value, kpi.unit))) : el("span", { class: "value unknown" }, "unknown")),
    el("td", { "data-label": "Status" }, child && known ? el("span", { class: "quiet dim" }, "not judged") : kpiStatus(kpi.status), kpi.reason ? el("span", { class: "why" }, kpi.reason) : null),
    el("td", { class: "num", "data-label": "Target" }, format.bound(kpi.target, kpi)),
    el("td", { class: "num", "data-label": "Change" }, change
      ? el("span", { class: `change ${change.tone}`, title: `previous: ${format.quantity(kpi.change.previous, kpi)}` }, `${change.sign} ${change.size} `, el("span", { class: "word" }, change.word))
      : el("span", { class: "dim" }, "\u2013")),
    el("td", { class: "num", "data-label": "Sample" }, sample(kpi)),
    el("td", { class: "num", "data-label": "Coverage" }, format.percent(kpi.coverage)),
    el("td", { "data-label": "State" }, known || kpi.state ? format.stateWords(kpi) : "\u2013"),
    el("td", { class: "line", "data-label": "13 months" }, sparkline(line, { width: 130, height: 26, target: kpi.target, tone: "plain" })),
  );
  return open ? [row, el("tr", { class: "detail", id: `more-${kpi.id}` }, el("td", { colspan: 9 }, details(kpi, months)))] : [row];
}

function kpiTable(csf, opened, toggle, before, period) {
  const headings = ["KPI", "Value", "Status", "Target", "Change", "Sample", "Coverage", "State", "13 months"];
  const numeric = new Set(["Value", "Target", "Change", "Sample", "Coverage"]);
  const previous = new Map((before ? before.kpis : []).map((k) => [k.id, k]));
  return el("table", { class: "kpi-table" },
    el("caption", { class: "sr" }, "Key performance indicators"),
    el("thead", null, el("tr", null, headings.map((h) => el("th", { scope: "col", class: numeric.has(h) ? "num" : null, title: h === "Change" ? (period === "month" ? "against the month before; sums of a running month are not compared" : period === "day" ? "against the day before" : "live values are not compared") : null }, h)))),
    el("tbody", null, csf.kpis.map((k) => kpiRows(k, opened, toggle, previous.get(k.id)))),
  );
}

function serviceTable(csf) {
  if (!csf.services.length) return null;
  const columns = csf.kpis.filter((k) => k.weight > 0 && k.offered);
  // where one figure has a better unit than its column's, all of them carry theirs
  const scaled = new Set(columns.filter((k) => csf.services.some((s) => format.better(s.kpis[k.id]?.value, k.unit))).map((k) => k.id));
  return el("section", { class: "services", "aria-labelledby": "services-title" },
    el("h2", { id: "services-title" }, "By service, worst first"),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "services-title" },
      el("table", { class: "service-table" },
        el("thead", null, el("tr", null,
          el("th", { scope: "col" }, "Service"), el("th", { scope: "col" }, "Status"), el("th", { scope: "col", class: "num" }, "Score"),
          columns.map((k) => el("th", { scope: "col", class: "num" }, k.name, format.shortUnit(k.unit) && !scaled.has(k.id) ? el("small", null, ` ${format.shortUnit(k.unit)}`) : null)))),
        el("tbody", null, csf.services.map((s) => el("tr", null,
          el("th", { scope: "row" }, el("a", { href: href(`/csf/${encodeURIComponent(csf.id)}`, { scope: s.scope }), "data-nav": true, "data-key": s.scope }, s.name),
            el("small", null, [s.team, s.tier ? `tier ${s.tier}` : null].filter(Boolean).join(", "))),
          el("td", null, csfStatus(s.status)),
          el("td", { class: "num score" }, format.score(s.score)),
          columns.map((k) => {
            const held = s.kpis[k.id];
            if (!held || held.value === null) return el("td", { class: "num unknown", title: held ? held.reason : null }, "unknown");
            return el("td", { class: `num ${format.TONE[held.status]}`, title: held.reason || null }, quietStatus(held.status), " ", scaled.has(k.id) ? format.quantity(held.value, k) : format.figure(held.value, k));
          })))),
      )),
  );
}

export function csfPage(id) {
  let document_ = null;
  const opened = new Set();

  function draw(root, found, before) {
    const csf = found.csf;
    const scores = monthly(csf.trend.map((t) => ({ ...t, value: t.score })));
    const words = `Score by month; now ${format.score(csf.score)}`;
    const across = root.querySelector(".scroll")?.scrollLeft || 0;
    replace(root,
      el("div", { class: "head" },
        el("div", { class: "title" },
          el("p", { class: "crumb" }, el("a", { href: href("/"), "data-nav": true, "data-key": "up" }, "All CSFs"), ` / ${found.scope_name}, ${format.span(found)}`),
          el("h1", null, csf.name),
          el("p", { class: "statement" }, csf.statement, " ", csf.description),
          el("div", { class: "verdict" }, csfStatus(csf.status), el("span", { class: "score" }, format.score(csf.score), el("small", null, csf.score === null ? "" : "/100")),
            csf.reason ? el("span", { class: "why" }, csf.reason) : null,
            el("span", { class: "cover" }, "coverage ", format.percent(csf.coverage)),
            csf.worst_service ? el("span", { class: "cover" }, "worst: ", el("a", { href: href(`/csf/${encodeURIComponent(id)}`, { scope: csf.worst_service.scope }), "data-nav": true, "data-key": "worst" }, csf.worst_service.name), ` ${format.score(csf.worst_service.score)}`) : null,
          ),
        ),
        el("figure", { class: "scores" }, trend(scores, { width: 520, height: 130, decimals: 0, label: words, limits: [0, 100] }), el("figcaption", null, "Score, 13 months")),
      ),
      kpiTable(csf, opened, (kpi) => {
        if (opened.has(kpi)) opened.delete(kpi);
        else opened.add(kpi);
        draw(root, document_, null);
      }, before ? before.csf : null, found.period),
      serviceTable(csf),
    );
    const scroll = root.querySelector(".scroll");
    if (scroll) scroll.scrollLeft = across;
  }

  function take(root, found) {
    const before = document_;
    document_ = found;
    draw(root, found, before);
  }

  const open = new URLSearchParams(location.search).get("kpi");
  if (open) opened.add(open);
  return {
    name: "csf",
    times: "all",
    streams: true,
    title: () => (document_ ? document_.csf.name : "Critical success factor"),
    load: (parameters) => ask(`csfs/${encodeURIComponent(id)}`, parameters),
    streamed: (parameters) => ({ ...parameters, csf: id }),
    render: take,
    csf: take,
  };
}
