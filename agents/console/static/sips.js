// Service Improvement Programmes: the list, one with its KPI's months and audit trail, and the forms that enter them.

import { monthly, trend } from "./chart.js";
import { el, replace } from "./dom.js";
import { ask, send } from "./feed.js";
import { choice, field, form, nameField, textArea, typedNumber } from "./forms.js";
import * as format from "./format.js";
import { shape } from "./marks.js";
import { href } from "./nav.js";

const RESULTS = { working: ["good", "Working"], met: ["good", "Met"], not_yet: ["warn", "Not yet"], worse: ["bad", "Worse"], unknown: ["none", "Unknown"] };
const STATUSES = { open: "Open", in_progress: "In progress", on_hold: "On hold", closed: "Closed" };

const VIA = { csf: "by csf sip", console: "on this page", "console with token": "on this page, with the token" };

const address = (id, changes = {}) => href(`/sips/${encodeURIComponent(id)}`, changes);

function result(sip) {
  const [tone, word] = RESULTS[sip.result] || RESULTS.unknown;
  return el("span", { class: `status ${tone}` }, shape(tone), el("span", null, word));
}

function due(sip) {
  return [el("span", { class: "nowrap" }, sip.due || "none"), sip.overdue ? el("strong", { class: "overdue" }, " overdue") : null];
}

function row(sip) {
  return el("tr", null,
    el("th", { scope: "row" }, el("a", { href: address(sip.id), "data-nav": true, "data-key": sip.id }, sip.title), " ", el("small", { class: "nowrap" }, sip.id)),
    el("td", { "data-label": "Result" }, result(sip), el("span", { class: "why" }, sip.result_reason)),
    el("td", { "data-label": "KPI" }, sip.kpi_name, el("small", null, ` ${sip.scope_name}`)),
    el("td", { class: "num", "data-label": "Baseline" }, format.quantity(sip.baseline, sip)),
    el("td", { class: "num", "data-label": "Now" }, el("strong", null, format.quantity(sip.value, sip))),
    el("td", { class: "num", "data-label": "Goal" }, format.quantity(sip.goal, sip)),
    el("td", { "data-label": "Due" }, due(sip)),
    el("td", { "data-label": "Owner" }, sip.owner),
    el("td", { "data-label": "Status" }, STATUSES[sip.status]),
  );
}

function table(found, label) {
  const headings = ["Programme", "Result", "KPI", "Baseline", "Now", "Goal", "Due", "Owner", "Status"];
  const numeric = new Set(["Baseline", "Now", "Goal"]);
  return el("table", { class: "stacked sip-table" }, el("caption", { class: "sr" }, label),
    el("thead", null, el("tr", null, headings.map((h) => el("th", { scope: "col", class: numeric.has(h) ? "num" : null }, h)))),
    el("tbody", null, found.map(row)));
}

/** The form that opens a programme; the address may say kpi, scope, title and why. */
function opening(catalogue, scopes, info, go) {
  const asked = new URLSearchParams(location.search);
  const kpis = catalogue.kpis.map((k) => [k.id, k.name]);
  const kpi = choice("kpi", kpis, asked.get("kpi") || kpis[0][0]);
  const scope = choice("scope", scopes.map((s) => [s.scope, s.name]), asked.get("scope") || "org");
  const told = el("p", { class: "why", "aria-live": "polite" });
  async function baseline() {
    const known = catalogue.kpis.find((k) => k.id === kpi.value);
    const better = { up: "more is better", down: "less is better", zero: "near 0 is better" }[known.direction];
    told.textContent = "";
    try {
      const found = await ask("baseline", { kpi: kpi.value, scope: scope.value });
      const from = found.value === null ? "no closed month has a value: the baseline will be unknown" : `baseline ${format.quantity(found.value, known)} (${format.month(found.month)})`;
      told.textContent = `${from}; ${better}${known.target === null ? "" : `; target ${format.bound(known.target, known)}${known.unit === "s" ? "" : format.unitAfter(known.unit)}`}`;
    } catch (error) {
      told.textContent = error.message;
    }
  }
  kpi.addEventListener("change", baseline);
  scope.addEventListener("change", baseline);
  baseline();
  const fields = [
    field("What is to get better", el("input", { name: "title", required: true, maxlength: 200, value: asked.get("title") || "" })),
    el("div", { class: "row" }, field("KPI", kpi), field("Scope", scope)), told,
    el("div", { class: "row" },
      field("Goal", el("input", { name: "goal", required: true, inputmode: "decimal" }), "the value to reach, in the KPI's unit"),
      field("Due", el("input", { name: "due", type: "date" })),
      field("Owner", el("input", { name: "owner", required: true, maxlength: 100 }), "who answers for it")),
    field("Actions", textArea("actions", 3, 20000), "one a line"),
    field("Why", textArea("why", 2, 2000, asked.get("why") || "")),
    nameField(info.token),
  ];
  return form("Open a programme", fields, "Open the programme", async (values) => {
    const body = { kpi: values.kpi, scope: values.scope, title: values.title, owner: values.owner, goal: typedNumber(values.goal), why: values.why, who: values.who };
    if (values.due) body.due = values.due;
    body.actions = values.actions.split("\n").map((a) => a.trim()).filter(Boolean);
    const made = await send("sips", body);
    go(address(made.sip.id, { scope: null }));
  }, [el("a", { href: href("/sips"), "data-nav": true }, "Cancel")]);
}

export function sips(go) {
  return {
    name: "sips", still: true, times: "none", waiting: "Reading the register \u2026",
    title: () => "Improvement",
    load: async (parameters) => {
      const [register, catalogue] = await Promise.all([ask("sips", parameters.scope ? { scope: parameters.scope } : {}), ask("catalogue")]);
      return { register, catalogue };
    },
    render(root, found, info, scopes) {
      if (new URLSearchParams(location.search).get("open")) {
        replace(root, el("div", { class: "page" }, el("p", { class: "crumb" }, el("a", { href: href("/sips"), "data-nav": true }, "Improvement")), el("h1", null, "Open a programme"), opening(found.catalogue, scopes, info, go)));
        return;
      }
      const all = found.register.sips;
      const running = all.filter((s) => s.status !== "closed");
      const closed = all.filter((s) => s.status === "closed");
      replace(root,
        el("div", { class: "strip" }, el("h1", null, "Improvement"),
          el("p", { class: "dim" }, "Service Improvement Programmes, and whether their KPIs have really moved"),
          el("a", { class: "act", href: href("/sips", { open: "1" }), "data-nav": true, "data-key": "open" }, "Open a programme")),
        running.length ? table(running, "Running programmes") : el("p", { class: "empty" }, closed.length ? "No programme is running." : "No programme has been opened yet. Open one for a KPI that is to get better; the report then says each month whether it really does."),
        closed.length ? el("section", null, el("h2", null, "Closed"), table(closed, "Closed programmes")) : null,
      );
    },
  };
}

function facts(sip) {
  const fact = (name, ...value) => el("div", null, el("dt", null, name), el("dd", null, ...value));
  return el("dl", { class: "facts" },
    fact("KPI", sip.csf ? el("a", { href: href(`/csf/${encodeURIComponent(sip.csf)}`, { scope: sip.scope === "org" ? null : sip.scope, kpi: sip.kpi }), "data-nav": true }, sip.kpi_name) : sip.kpi_name),
    fact("Scope", sip.scope_name), fact("Owner", sip.owner),
    fact("Status", STATUSES[sip.status], sip.closed_on ? ` on ${sip.closed_on}` : ""),
    fact("Since", sip.opened), fact("Due", due(sip)),
    fact("Baseline", format.quantity(sip.baseline, sip), sip.baseline_month ? ` (${format.month(sip.baseline_month)})` : ""),
    fact("Goal", format.quantity(sip.goal, sip)), fact("Now", format.quantity(sip.value, sip)));
}

function chart(sip) {
  const points = monthly(sip.history.map((p) => ({ start: p.month, value: p.value, target: sip.goal, status: "unknown", state: p.state })));
  const known = sip.history.filter((p) => p.value !== null);
  const words = known.length
    ? `${sip.kpi_name} by month since the start: ${known.map((p) => `${format.month(p.month)} ${format.quantity(p.value, sip)}`).join(", ")}; goal ${format.quantity(sip.goal, sip)}`
    : `${sip.kpi_name}: no month with a value since the start`;
  return el("figure", { class: "since" }, trend(points, { decimals: sip.decimals, unit: format.shortUnit(sip.unit), label: words, width: 900, height: 210 }), el("figcaption", null, `${format.withUnit(sip.kpi_name, points, sip.unit)} since the start; dashed: goal`));
}

function trail(entries) {
  return el("ol", { class: "trail" }, [...entries].reverse().map((e) => el("li", null,
    el("p", null, el("b", null, e.who), ` ${e.did} `, el("span", { class: "dim" }, `${format.clockTime(e.at)}, ${VIA[e.via] || e.via}`)),
    e.why ? el("p", null, e.why) : null,
    el("ul", { class: "dim" }, e.changes.map((c) => el("li", null, c))))));
}

function changing(sip, info, again) {
  const actions = sip.actions.map((a, i) => el("label", { class: "tick" }, el("input", { type: "checkbox", name: `action-${i + 1}`, checked: a.done }), el("span", null, a.text)));
  const statuses = Object.entries(STATUSES).filter(([s]) => s !== "closed");
  const fields = [
    actions.length ? el("fieldset", null, el("legend", null, "Actions that are done"), actions) : null,
    field("More actions", textArea("add", 2, 20000), "one a line"),
    el("div", { class: "row" },
      field("Status", choice("status", statuses, sip.status === "closed" ? "open" : sip.status)),
      field("Goal", el("input", { name: "goal", required: true, inputmode: "decimal", value: sip.goal ?? "" }), format.shortUnit(sip.unit) || null),
      field("Due", el("input", { name: "due", type: "date", value: sip.due || "" })),
      field("Owner", el("input", { name: "owner", required: true, maxlength: 100, value: sip.owner }))),
    field("Why", textArea("why", 2, 2000)),
    nameField(info.token),
  ];
  return form("Change the programme", fields, sip.status === "closed" ? "Open it again" : "Enter the change", async (values) => {
    const ticked = sip.actions.map((a, i) => [i + 1, a.done, values[`action-${i + 1}`] !== undefined]);
    const body = { seen: sip.version, who: values.who, why: values.why, status: values.status, owner: values.owner, due: values.due || null,
      add: values.add.split("\n").map((a) => a.trim()).filter(Boolean),
      done: ticked.filter(([, was, is]) => !was && is).map(([i]) => i), undone: ticked.filter(([, was, is]) => was && !is).map(([i]) => i) };
    const goal = typedNumber(values.goal);
    if (goal !== sip.goal) body.goal = goal;
    await send(`sips/${encodeURIComponent(sip.id)}`, body);
    again();
  });
}

function closing(sip, info, again) {
  return form("Close the programme", [field("What was reached, or why it ends", textArea("why", 2, 2000, "", true)), nameField(info.token)], "Close it", async (values) => {
    await send(`sips/${encodeURIComponent(sip.id)}/close`, { seen: sip.version, who: values.who, why: values.why });
    again();
  });
}

export function sipPage(id, go) {
  let shown = null;
  return {
    name: "sips", still: true, times: "none", waiting: "Reading the register \u2026",
    title: () => (shown ? shown.title : "Improvement programme"),
    load: () => ask(`sips/${encodeURIComponent(id)}`),
    render(root, found, info) {
      const sip = shown = found.sip;
      const again = () => go(address(sip.id));
      const form_ = (name, made) => el("details", { class: "fold" }, el("summary", { "data-key": name }, name), made);
      replace(root, el("div", { class: "page" },
        el("p", { class: "crumb" }, el("a", { href: href("/sips"), "data-nav": true }, "Improvement"), ` / ${sip.id}`),
        el("h1", null, sip.title),
        el("p", { class: "judged" }, result(sip), el("span", null, sip.result_reason)),
        facts(sip), chart(sip),
        sip.actions.length ? el("section", null, el("h2", null, "Actions"), el("ul", { class: "actions" }, sip.actions.map((a) => el("li", { class: a.done ? "done" : null }, el("span", { class: "box", "aria-hidden": "true" }, a.done ? "\u2713" : ""), el("span", null, a.text, el("span", { class: "sr" }, a.done ? " (done)" : " (not done)")))))) : null,
        el("section", { class: "folds" },
          form_(sip.status === "closed" ? "Open it again" : "Change this programme", changing(sip, info, again)),
          sip.status === "closed" ? null : form_("Close this programme", closing(sip, info, again))),
        el("section", null, el("h2", null, "Who changed what"), trail(found.entries)),
      ));
    },
  };
}
