// The frame of the page: which view, which scope and time, how fresh the figures are.

import { el, replace } from "./dom.js";
import { ask, follow } from "./feed.js";
import * as format from "./format.js";
import { href } from "./nav.js";
import { overview } from "./overview.js";
import { alerts } from "./alerts.js";
import { connectors } from "./connectors.js";
import { csfPage } from "./csf.js";
import { pipeline } from "./pipeline.js";
import { report } from "./report.js";
import { sipPage, sips } from "./sips.js";

const byId = (id) => document.getElementById(id);

let stop = () => {};
let view = null;
let info = null;
let clock = { at: null, age: null, heard: 0 };
let turn = 0;
let offered = "";

function wanted() {
  const query = new URLSearchParams(location.search);
  const parameters = {};
  for (const name of ["scope", "window", "month", "day"]) if (query.get(name)) parameters[name] = query.get(name);
  return { query, parameters };
}

function go(address) {
  history.pushState(null, "", address);
  show(true);
}

function heard(document) {
  if (document.clock_age_s !== undefined) {
    clock = { at: document.clock, age: document.clock_age_s, heard: performance.now() };
  }
  problem("");
  freshness();
}

function problem(text) {
  const node = byId("problem");
  node.hidden = !text;
  if (node.textContent !== text) node.textContent = text;
}

function freshness() {
  const node = byId("fresh");
  if (view && view.still) {
    node.className = "fresh";
    node.textContent = node.title = node.dataset.stale = "";
    return;
  }
  if (clock.heard === 0) return;
  const now = clock.age === null ? null : clock.age + (performance.now() - clock.heard) / 1000;
  const stale = now === null || now > 60;
  const text = now === null ? "no data yet" : `data as of ${format.age(now)}`;
  if (node.dataset.stale !== String(stale)) {
    node.dataset.stale = String(stale);
    node.className = stale ? "fresh stale" : "fresh";
    node.setAttribute("aria-live", stale ? "polite" : "off");
  }
  node.textContent = stale && now !== null ? `Stale: ${text}` : text;
  node.title = clock.at ? `Everything that had arrived by ${format.clockTime(clock.at)} is counted` : "";
}

function options(select, groups, chosen) {
  const nodes = groups.filter(([, entries]) => entries.length).map(([label, entries]) => {
    const made = entries.map(([value, text]) => el("option", { value }, text));
    return label ? el("optgroup", { label }, made) : made;
  });
  select.replaceChildren(...nodes.flat());
  select.value = chosen;
}

function controls(scopes) {
  offered = JSON.stringify([info.months, scopes]);
  const { parameters } = wanted();
  const of = (kind) => scopes.filter((s) => s.kind === kind).map((s) => [s.scope, s.name]);
  options(byId("scope"), [["", [["org", "Whole organisation"]]], ["Teams", of("team")], ["Services", of("service")]], parameters.scope || "org");
  const months = info.months.map((m, i) => [`month=${m}`, i === 0 ? `${format.month(m)} (newest)` : format.month(m)]);
  if (!months.length) months.push(["", "This month"]);
  const windows = !view || view.times === "all" ? info.windows.map((w) => [`window=${w}`, `Last ${format.WINDOW_WORDS[w] || w}`]) : [];
  const days = parameters.day && windows.length ? [[`day=${parameters.day}`, parameters.day]] : [];
  const chosen = parameters.window && windows.length ? `window=${parameters.window}` : parameters.day && days.length ? `day=${parameters.day}` : parameters.month ? `month=${parameters.month}` : view && view.newest ? "" : months[0][0];
  if (parameters.month && !info.months.includes(parameters.month)) months.push([`month=${parameters.month}`, parameters.month]);
  byId("scope-label").hidden = view !== null && view.scopeless === true;
  byId("time-label").hidden = view !== null && view.times === "none";
  if (view && view.newest) months.unshift(["", view.newest]);
  options(byId("time"), [["Live", windows], ["Months", months], ["Day", days]], chosen);
}

byId("scope").addEventListener("change", (event) => go(href(location.pathname, { scope: event.target.value === "org" ? null : event.target.value })));
byId("time").addEventListener("change", (event) => {
  const [name, value] = event.target.value.split("=");
  const newest = name === "month" && value === info.months[0] && !(view && view.newest);
  go(href(location.pathname, { window: null, month: null, day: null, ...(value && !newest ? { [name]: value } : {}) }));
});
byId("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("csf-theme", document.documentElement.dataset.theme);
  } catch {
    // a browser that keeps nothing still shows the chosen theme
  }
  themeName();
});

function themeName() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", dark ? "Use the light theme" : "Use the dark theme");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-nav]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
});
addEventListener("popstate", () => show(true));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && location.pathname !== "/" && !event.defaultPrevented && !event.target.closest("form")) go(href("/"));
});

function route() {
  const csf = location.pathname.match(/^\/csf\/([^/]+)$/);
  if (csf) return csfPage(decodeURIComponent(csf[1]));
  const sip = location.pathname.match(/^\/sips\/([^/]+)$/);
  if (sip) return sipPage(decodeURIComponent(sip[1]), go);
  if (location.pathname === "/sips") return sips(go);
  if (location.pathname === "/alerts") return alerts(go);
  if (location.pathname === "/connectors") return connectors();
  if (location.pathname === "/report") return report(go);
  if (location.pathname === "/pipeline") return pipeline();
  return location.pathname === "/" ? overview() : missing();
}

/** What is shown where there is no page. */
function missing() {
  return {
    name: "missing", still: true, times: "none", scopeless: true,
    title: () => "No such page",
    load: async () => ({}),
    render: (root) => replace(root,
      el("div", { class: "strip" }, el("h1", null, "No such page")),
      el("p", null, `There is no page ${location.pathname} here. `, el("a", { href: "/", "data-nav": true }, "Show the overview"))),
  };
}

function title() {
  return `${view.title()} \u00b7 ${info.organisation}${info.demo ? " (demo)" : ""}`;
}

async function show(moved) {
  turn += 1;
  const mine = turn;
  stop();
  const { query, parameters } = wanted();
  try {
    const [about, scopes] = await Promise.all([ask("info"), ask("scopes")]);
    if (mine !== turn) return;
    info = about;
    byId("org").textContent = byId("org").title = info.organisation;
    byId("demo").hidden = !info.demo;
    view = route();
    controls(scopes.scopes);
    document.title = title();
    if (view.waiting) byId("main").replaceChildren(el("p", { class: "loading", role: "status" }, view.waiting));
    freshness();
    for (const link of document.querySelectorAll("[data-page]")) {
      link.href = href(link.dataset.page === "overview" ? "/" : `/${link.dataset.page}`);
      link.hidden = { report: !info.reports, sips: !info.register, connectors: !info.connectors }[link.dataset.page] || false;
      if (link.dataset.page === view.name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    byId("org").href = href("/");
    document.body.dataset.view = view.name;
    const main = byId("main");
    const load = async () => {
      const found = await view.load(parameters);
      if (mine !== turn) return;
      heard(found);
      view.render(main, found, info, scopes.scopes);
    };
    await load();
    if (mine !== turn) return;
    document.title = title();
    if (moved) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
    if (view.still) {
      stop = view.end || (() => {});
      return;
    }
    const listeners = {
      clock: (news) => { heard(news); if (view.clock) view.clock(main, news); },
      problem: (news) => problem(news.error),
    };
    for (const name of ["csfs", "csf"]) {
      if (view[name]) listeners[name] = (news) => { heard(news); view[name](main, news); };
    }
    stop = follow(view.streamed(parameters), listeners, load, { stream: view.streams && query.get("nostream") !== "1" });
  } catch (error) {
    if (mine !== turn) return;
    problem(error.message);
    const back = el("p", null, el("a", { href: "/", "data-nav": true }, "Show the newest month of the organisation"));
    if (!view || !byId("main").querySelector("article, table")) replace(byId("main"), back);
    if (view && view.still) {
      stop = () => {};
      return;
    }
    const again = setTimeout(() => show(false), 5000);
    stop = () => clearTimeout(again);
  }
}

// new months and services appear while history is still being read: offer them without a reload
async function lookAgain() {
  if (document.hidden || info === null || ["scope", "time"].includes(document.activeElement?.id)) return;
  const mine = turn;
  try {
    const [about, scopes] = await Promise.all([ask("info"), ask("scopes")]);
    const news = JSON.stringify([about.months, scopes.scopes]);
    if (mine !== turn || news === offered) return;
    info = about;
    controls(scopes.scopes);
  } catch {
    // the view's own feed says what is wrong
  }
}

themeName();
setInterval(lookAgain, 15000);
setInterval(freshness, 1000);
show(false);
