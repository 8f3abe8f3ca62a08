// What fires, the most urgent first, and what changed lately.

import { el, replace } from "./dom.js";
import { ask } from "./feed.js";
import * as format from "./format.js";
import { shape } from "./marks.js";
import { href } from "./nav.js";

const SEVERITY = { critical: ["bad", "Critical"], warning: ["warn", "Warning"], info: ["none", "Info"] };
const STATES = { firing: "fires", resolved: "over", unknown: "fires, not known now", known: "fires, known again" };

function against(alert) {
  const kpi = { unit: alert.unit, decimals: alert.decimals };
  if (alert.value === null) return "unknown";
  const value = format.quantity(alert.value, kpi);
  return alert.threshold === null ? value : `${value}, limit ${format.quantity(alert.threshold, kpi)}`;
}

function severity(alert) {
  const [tone, word] = SEVERITY[alert.severity];
  return el("span", { class: `status ${tone}` }, shape(tone), el("span", null, word));
}

function table(alerts, when, label) {
  return el("div", { class: "scroll" }, el("table", { "aria-label": label },
    el("thead", null, el("tr", null, ["Severity", "Alert", "Where", "State", when === "since" ? "Since" : "At", "Value", "Sample", "Coverage"].map((h, i) => el("th", { scope: "col", class: i > 3 ? "num" : null }, h)))),
    el("tbody", null, alerts.map((a) => el("tr", null,
      el("td", null, severity(a)),
      el("th", { scope: "row" }, a.name, a.note ? el("small", { class: "dim" }, ` ${a.note}`) : null),
      el("td", null, el("a", { href: href(`/csf/${a.csf}`, { scope: a.scope }), "data-nav": true }, a.scope_name)),
      el("td", null, STATES[a.state]),
      el("td", { class: "num" }, format.clockTime(a[when])),
      el("td", { class: "num" }, against(a)),
      el("td", { class: "num" }, a.sample ? format.count(a.sample) : "\u2013"),
      el("td", { class: "num" }, a.coverage === null ? "\u2013" : format.percent(a.coverage)))))));
}

export function alerts() {
  return {
    name: "alerts",
    times: "all",
    streams: false,
    title: () => "Alerts",
    load: () => ask("alerts"),
    streamed: () => ({}),
    render(root, found) {
      replace(root,
        el("div", { class: "strip" }, el("h1", null, "Alerts")),
        el("section", { "aria-label": "Firing" }, el("h2", null, `Firing (${found.firing.length})`),
          found.firing.length ? table(found.firing, "since", "Alerts that fire") : el("p", { class: "dim" }, "Nothing fires.")),
        el("section", { "aria-label": "Changes" }, el("h2", null, "Changes of the last 45 days"),
          found.changes.length ? table(found.changes, "at", "Changes of alerts") : el("p", { class: "dim" }, "No alert has changed.")),
      );
    },
  };
}
