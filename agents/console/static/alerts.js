// What fires, the most urgent first; silences, channels, and what changed lately; forms to silence and to take on.

import { el, replace } from "./dom.js";
import { ask, send } from "./feed.js";
import { choice, field, form, nameField, textArea } from "./forms.js";
import * as format from "./format.js";
import { shape } from "./marks.js";
import { href } from "./nav.js";

const SEVERITY = { critical: ["bad", "Critical"], warning: ["warn", "Warning"], info: ["none", "Info"] };
const STATES = { firing: "fires", resolved: "over", unknown: "fires, not known now", known: "fires, known again" };
const CHANNELS = { ok: ["good", "Delivers"], down: ["bad", "Takes nothing"], refused: ["bad", "Refuses"], unused: ["none", "Not used yet"] };
const LENGTHS = [["30m", "30 minutes"], ["1h", "1 hour"], ["2h", "2 hours"], ["4h", "4 hours"], ["8h", "8 hours"], ["1d", "1 day"], ["7d", "7 days"]];
const ORDER = ["do", "rule", "at", "silence"];
/** What an order came to is asked for so often and so far apart (ms) before the page is shown anyhow. */
const HEARD_TRIES = 20;
const HEARD_MS = 250;

const without = () => Object.fromEntries(ORDER.map((name) => [name, null]));
const ordering = (order, more) => href("/alerts", { ...without(), do: order, ...more });

function against(alert) {
  const kpi = { unit: alert.unit, decimals: alert.decimals };
  if (alert.value === null) return "unknown";
  const value = format.quantity(alert.value, kpi);
  return alert.threshold === null ? value : `${value}, limit ${format.quantity(alert.threshold, kpi)}`;
}

function mark([tone, word]) {
  return el("span", { class: `status ${tone}` }, shape(tone), el("span", null, word));
}

function headings(names, numeric) {
  return el("thead", null, el("tr", null, names.map((h) => el("th", { scope: "col", class: numeric.has(h) ? "num" : null }, h))));
}

const NUMERIC = new Set(["Since", "At", "Value", "Sample", "Coverage", "Until"]);

const until = (at) => (at ? ` until ${format.clockTime(at)}` : "");

/** Why nobody is told of an alert that fires; empty where somebody was. */
function untold(alert) {
  if (alert.held_back_by) return `held back: ${alert.held_back_by}${until(alert.held_back_until)}`;
  return alert.routed ? "" : "only shown: no route takes it";
}

function orders(alert, info) {
  const told = alert.taken_on_by ? `taken on by ${alert.taken_on_by}` : alert.silenced_by ? `silenced by ${alert.silenced_by}${until(alert.silenced_until)}` : "";
  if (!info.orders) return el("td", { "data-label": "In hand" }, told || "\u2013");
  const which = { rule: alert.rule, at: alert.scope };
  return el("td", { "data-label": "In hand" }, told ? el("span", { class: "why" }, told) : null,
    el("span", { class: "orders" },
      alert.taken_on_by ? null : el("a", { href: ordering("take-on", which), "data-nav": true, "aria-label": `Take on ${alert.name}, ${alert.scope_name}` }, "Take on"),
      alert.silenced_by ? null : el("a", { href: ordering("silence", which), "data-nav": true, "aria-label": `Silence ${alert.name}, ${alert.scope_name}` }, "Silence")));
}

function table(alerts, when, label, info) {
  const names = ["Severity", "Alert", "Where", "State", when === "since" ? "Since" : "At", "Value", "Sample", "Coverage", ...(info ? ["In hand"] : [])];
  return el("table", { class: "stacked alert-table" }, el("caption", { class: "sr" }, label), headings(names, NUMERIC),
    el("tbody", null, alerts.map((a) => el("tr", null,
      el("td", { "data-label": "Severity" }, mark(SEVERITY[a.severity])),
      el("th", { scope: "row" }, a.runbook && info ? el("a", { href: a.runbook, rel: "noreferrer" }, a.name) : a.name, a.note ? el("small", { class: "dim" }, ` ${a.note}`) : null),
      el("td", { "data-label": "Where" }, el("a", { href: href(`/csf/${a.csf}`, { ...without(), scope: a.scope }), "data-nav": true }, a.scope_name)),
      el("td", { "data-label": "State" }, STATES[a.state], info && untold(a) ? el("small", { class: "dim held" }, untold(a)) : null),
      el("td", { class: "num", "data-label": when === "since" ? "Since" : "At" }, format.clockTime(a[when])),
      el("td", { class: "num", "data-label": "Value" }, against(a)),
      el("td", { class: "num", "data-label": "Sample" }, a.sample ? format.sample(a.sample, a.sample_unit) : "\u2013"),
      el("td", { class: "num", "data-label": "Coverage" }, a.coverage === null ? "\u2013" : format.percent(a.coverage)),
      info ? orders(a, info) : null))));
}

function silences(found, info) {
  return el("table", { class: "stacked" }, el("caption", { class: "sr" }, "Silences that run"),
    headings(["Silenced", "Until", "By", "Why", ""], NUMERIC),
    el("tbody", null, found.map((s) => el("tr", null,
      el("th", { scope: "row" }, s.matches, el("small", null, ` ${s.id}`)),
      el("td", { class: "num", "data-label": "Until" }, format.clockTime(s.until)),
      el("td", { "data-label": "By" }, s.by),
      el("td", { "data-label": "Why" }, s.why),
      el("td", null, info.orders ? el("a", { href: ordering("lift", { silence: s.id }), "data-nav": true, "aria-label": `End the silence of ${s.matches}` }, "End it now") : null)))));
}

function channels(found) {
  return el("table", { class: "stacked" }, el("caption", { class: "sr" }, "Channels"),
    headings(["Channel", "State", "Since", "What it says", "Delivered last"], NUMERIC),
    el("tbody", null, found.map((c) => el("tr", null,
      el("th", { scope: "row" }, c.id),
      el("td", { "data-label": "State" }, mark(CHANNELS[c.state])),
      el("td", { class: "num", "data-label": "Since" }, c.since ? format.clockTime(c.since) : "\u2013"),
      el("td", { "data-label": "What it says" }, [c.why, c.waiting].filter(Boolean).join("; ") || "\u2013"),
      el("td", { "data-label": "Delivered last" }, c.delivered_at ? format.clockTime(c.delivered_at) : "never")))));
}

/** Show the page again once what was ordered holds, or after a while anyhow: alerting hears of it by its own log. */
async function shown(go, holds) {
  for (let left = HEARD_TRIES; left > 0 && !holds(await ask("alerts")); left -= 1) await new Promise((done) => setTimeout(done, HEARD_MS));
  go(href("/alerts", without()));
}

function silencing(asked, scopes, info, go) {
  const scope = asked.get("at") || "";
  const places = [["", "anywhere"], ["service:*", "any service"], ["team:*", "any team"], ...scopes.map((s) => [s.scope, s.name])];
  const fields = [
    el("div", { class: "row" },
      field("Rule", el("input", { name: "rule", maxlength: 64, value: asked.get("rule") || "" }), "its id; empty: any rule"),
      field("Where", choice("at", places, scope)),
      field("For", choice("length", LENGTHS, "2h"))),
    field("Why", textArea("reason", 2, 1000, "", true), "people read it when they look at what is silenced"),
    nameField(info.token),
  ];
  return form("Silence", fields, "Silence", async (values) => {
    const body = { reason: values.reason, length: values.length, who: values.who };
    if (values.rule.trim()) body.rules = [values.rule.trim()];
    if (values.at) body.scopes = [values.at];
    const made = await send("alerts/silences", body);
    await shown(go, (found) => found.silences.some((s) => s.id === made.silence));
  }, [cancel()]);
}

function takingOn(asked, info, go) {
  const [rule, scope] = [asked.get("rule") || "", asked.get("at") || "org"];
  return form("Take on", [el("p", null, `${rule}, ${scope}: it is not told again until it is over.`), nameField(info.token)], "Take it on", async (values) => {
    await send("alerts/acknowledgements", { rule, scope, who: values.who });
    await shown(go, (found) => !found.firing.some((a) => a.rule === rule && a.scope === scope && !a.taken_on_by));
  }, [cancel()]);
}

function lifting(asked, info, go) {
  const id = asked.get("silence") || "";
  const fields = [el("p", null, `Silence ${id}: what it held back and still fires is told at once.`), field("Why", textArea("reason", 2, 1000)), nameField(info.token)];
  return form("End a silence", fields, "End it", async (values) => {
    await send(`alerts/silences/${encodeURIComponent(id)}/lift`, { reason: values.reason, who: values.who });
    await shown(go, (found) => !found.silences.some((s) => s.id === id));
  }, [cancel()]);
}

const cancel = () => el("a", { href: href("/alerts", without()), "data-nav": true }, "Cancel");

/** The page that asks for one order; what it is about stands in the address. */
function asking(order, scopes, info, go) {
  const asked = new URLSearchParams(location.search);
  const [title, made] = {
    silence: ["Silence alerts", () => silencing(asked, scopes, info, go)],
    "take-on": ["Take an alert on", () => takingOn(asked, info, go)],
    lift: ["End a silence", () => lifting(asked, info, go)],
  }[order] || ["Alerts", () => cancel()];
  return el("div", { class: "page" }, el("p", { class: "crumb" }, el("a", { href: href("/alerts", without()), "data-nav": true }, "Alerts")), el("h1", null, title), made());
}

/** What is said where nothing fires in the scope chosen. */
function calm(found) {
  const other = found.elsewhere === 1 ? "one alert fires" : `${found.elsewhere} alerts fire`;
  if (found.scope.scope === "org") return el("p", { class: "dim" }, "Nothing fires.");
  return el("p", { class: "dim" }, `Nothing fires in ${found.scope.name}`, found.elsewhere ? [`; ${other} elsewhere: `, el("a", { href: href("/alerts", { ...without(), scope: null }), "data-nav": true }, "show all")] : ".");
}

export function alerts(go) {
  const order = new URLSearchParams(location.search).get("do");
  return {
    name: "alerts",
    times: "none",
    streams: false,
    still: order !== null,
    title: () => "Alerts",
    load: ({ scope }) => ask("alerts", scope ? { scope } : {}),
    streamed: () => ({}),
    render(root, found, info, scopes) {
      if (order !== null && info.orders) {
        replace(root, asking(order, scopes, info, go));
        return;
      }
      const at = found.scope.scope === "org" ? {} : { at: found.scope.scope };
      const where = found.scope.scope === "org" ? "" : `, ${found.scope.name}`;
      const bad = found.channels.filter((c) => c.state === "down" || c.state === "refused");
      replace(root,
        el("div", { class: "strip" }, el("h1", null, "Alerts"),
          info.orders ? el("a", { class: "act", href: ordering("silence", at), "data-nav": true }, "Silence \u2026") : null),
        bad.length ? el("p", { class: "complaint", role: "alert" }, `${bad.map((c) => c.id).join(", ")}: nobody is told by ${bad.length === 1 ? "this channel" : "these channels"} now; see below.`) : null,
        el("section", { "aria-label": "Firing" }, el("h2", null, `Firing${where} (${found.firing.length})`),
          found.firing.length ? table(found.firing, "since", "Alerts that fire", info) : calm(found),
          found.firing.length && found.elsewhere ? el("p", { class: "dim" }, `${found.elsewhere} more elsewhere: `, el("a", { href: href("/alerts", { ...without(), scope: null }), "data-nav": true }, "show all")) : null),
        found.silences.length ? el("section", { "aria-label": "Silences" }, el("h2", null, `Silences (${found.silences.length})`), silences(found.silences, info)) : null,
        el("section", { "aria-label": "Channels" }, el("h2", null, "Channels"),
          found.channels.length ? channels(found.channels) : el("p", { class: "dim" }, "There are no channels: alerts are shown, and nobody is told (channels.yaml).")),
        el("section", { "aria-label": "Changes" }, el("h2", null, `Changes of the last 45 days${where}`),
          found.changes.length ? table(found.changes, "at", "Changes of alerts", null) : el("p", { class: "dim" }, "No alert has changed.")),
      );
    },
  };
}
