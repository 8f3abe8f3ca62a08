// The Monthly Operating Report: its page in a frame, its other forms, what can be done about it, and issued ones.

import { el, replace } from "./dom.js";
import { ask, send } from "./feed.js";
import { choice, field, form, nameField, textArea } from "./forms.js";
import * as format from "./format.js";
import { href } from "./nav.js";

const FORMS = [["pdf", "PDF"], ["md", "Markdown"], ["csv", "CSV"], ["json", "JSON"]];

function source(selection, form_) {
  return `/api/v1/report?${new URLSearchParams({ ...selection, format: form_ })}`;
}

/** The frame grows to its document, so that there is one scroll bar; links out of it lead this page on. */
function frame(selection, title, go) {
  const made = el("iframe", { class: "report-frame", src: source(selection, "html"), title });
  let watch = null;
  made.addEventListener("load", () => {
    const inner = made.contentDocument;
    if (!inner || !inner.documentElement) return;
    const fit = () => { made.style.height = `${Math.ceil(inner.documentElement.getBoundingClientRect().height) + 2}px`; };
    watch = new ResizeObserver(fit);
    watch.observe(inner.documentElement);
    fit();
    inner.addEventListener("click", (event) => {
      const link = event.target.closest("a[href]");
      if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
      const wanted = link.getAttribute("href");
      if (wanted.startsWith("#")) {
        const target = inner.getElementById(decodeURIComponent(wanted.slice(1)));
        if (!target) return;
        event.preventDefault();
        target.scrollIntoView({ block: "start" });
      } else if (wanted.startsWith("/") && !wanted.startsWith("//") && !wanted.startsWith("/api/")) {
        event.preventDefault();
        go(wanted);
      }
    });
  });
  return { made, end: () => watch && watch.disconnect() };
}

/** The programme that is open for one of some KPIs, in a scope or a place in it; null where none is. */
function inHand(document_, kpis, scope) {
  const open = document_.sips.filter((s) => kpis.includes(s.kpi) && s.status !== "closed");
  return open.find((s) => s.scope === scope) || (scope === document_.scope ? open[0] : null) || null;
}

function act(document_, c, i) {
  if (!c.kpi) return null;
  const sip = inHand(document_, c.kpis, c.scope);
  if (sip) return el("span", null, "In hand: ", el("a", { href: href(`/sips/${encodeURIComponent(sip.id)}`, { month: null, window: null }), "data-nav": true, "data-key": `act-${i}` }, sip.title));
  return el("a", { href: href("/sips", { open: "1", kpi: c.kpi, scope: c.scope === "org" ? null : c.scope, title: c.title.slice(0, 200), why: c.why.slice(0, 2000), month: null, window: null }), "data-nav": true, "data-key": `act-${i}`, class: "nowrap" }, "Open a programme");
}

/** Each concern once, with where a programme for it is opened. */
function concerns(document_) {
  const found = [];
  for (const csf of document_.csfs) {
    for (const finding of csf.findings) {
      if (finding.concern) found.push({ csf: csf.name, kpi: finding.kpis[0] || null, kpis: finding.kpis, scope: document_.scope, title: finding.concern, why: finding.sentence, advice: finding.suggestions });
    }
  }
  for (const proposal of document_.proposals) found.push({ csf: "Proposed", kpi: proposal.kpi, kpis: [proposal.kpi], scope: proposal.scope, title: proposal.title, why: proposal.reason, advice: [] });
  return found;
}

function acting(document_) {
  const found = concerns(document_);
  if (!found.length) return el("p", { class: "dim" }, "The report names no concern.");
  return el("table", { class: "stacked concern-table" }, el("caption", { class: "sr" }, "Concerns of this report"),
    el("thead", null, el("tr", null, ["CSF", "Concern", "Suggested", ""].map((h) => el("th", { scope: "col" }, h || el("span", { class: "sr" }, "Act"))))),
    el("tbody", null, found.map((c, i) => el("tr", null,
      el("td", { "data-label": "CSF" }, c.csf),
      el("th", { scope: "row" }, c.title, el("small", { class: "why" }, c.why)),
      el("td", { "data-label": "Suggested" }, c.advice.length ? el("ul", null, c.advice.map((a) => el("li", null, a))) : "\u2013"),
      el("td", null, act(document_, c, i))))));
}

function commenting(document_, info, again) {
  const standing = document_.csfs.filter((c) => c.comment);
  const csfs = document_.csfs.map((c) => [c.id, c.name]);
  const which = choice("csf", csfs, csfs[0][0]);
  const text = textArea("text", 4, 2000, "", true);
  const fill = () => { text.value = document_.csfs.find((c) => c.id === which.value)?.comment?.text || ""; };
  which.addEventListener("change", fill);
  fill();
  const enter = (body) => send("comments", { month: document_.month, scope: document_.scope, ...body }).then(again);
  const withdrawing = (c) => el("details", { class: "withdraw" }, el("summary", null, "Withdraw"),
    form(`Withdraw the comment on ${c.name}`, [field("Why", el("input", { name: "why", maxlength: 200 }), "optional; the log keeps it with the comment"), nameField(info.token)],
      "Withdraw the comment", (values) => enter({ csf: c.id, text: null, why: values.why, who: values.who })));
  return el("div", null,
    standing.length ? el("ul", { class: "comments" }, standing.map((c) => el("li", null,
      el("p", null, el("b", null, c.name), el("span", { class: "dim" }, ` ${c.comment.author}, ${format.clockTime(c.comment.at)}`)), el("p", { class: "said" }, c.comment.text), withdrawing(c)))) : null,
    form("Comment on a CSF", [field("CSF", which), field("Comment", text, "signed and dated; it stands beside the text, never instead of it, and replaces an earlier one"), nameField(info.token)],
      "Enter the comment", (values) => enter({ csf: values.csf, text: values.text, who: values.who })));
}

/** A link to a place on this page: it changes no address, so that nothing is built anew. */
function leap(id, word) {
  return el("a", { href: `#${id}`, on: { click: (event) => {
    event.preventDefault();
    const place = document.getElementById(id);
    place.scrollIntoView({ block: "start" });
    place.focus({ preventScroll: true });
  } } }, word);
}

function issued(issues) {
  if (!issues.length) return el("p", { class: "dim" }, "No report has been issued yet: csf report issue does.");
  return el("table", { class: "stacked issue-table" }, el("caption", { class: "sr" }, "Issued reports"),
    el("thead", null, el("tr", null, ["Issue", "Month", "Scope", "Revision", "Issued", "By"].map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", null, issues.map((i) => el("tr", null,
      el("th", { scope: "row" }, el("a", { href: href("/report", { issue: String(i.number), month: null, scope: null, window: null }), "data-nav": true, "data-key": `issue-${i.number}` }, `No. ${i.number}`)),
      el("td", { "data-label": "Month" }, format.month(i.month)), el("td", { "data-label": "Scope" }, i.scope_name),
      el("td", { "data-label": "Revision" }, i.revision || "to date"), el("td", { "data-label": "Issued" }, format.clockTime(i.at)), el("td", { "data-label": "By" }, i.by)))));
}

export function report(go) {
  let shown = null;
  let end = () => {};
  const issue = new URLSearchParams(location.search).get("issue");
  return {
    name: "report", still: true, times: "months", newest: "Latest month that is over",
    waiting: "Building the report \u2026",
    title: () => (shown ? `Report ${format.month(shown.month)}` : "Report"),
    end: () => end(),
    async load(parameters) {
      const selection = issue ? { issue } : {};
      if (!issue) for (const name of ["month", "scope"]) if (parameters[name]) selection[name] = parameters[name];
      const [document_, issues] = await Promise.all([ask("report", selection), ask("reports")]);
      return { document: document_, issues: issues.issues, selection };
    },
    render(root, found, info) {
      const document_ = shown = found.document;
      const framed = frame(found.selection, `Monthly Operating Report, ${document_.scope_name}, ${format.month(document_.month)}`, go);
      end = framed.end;
      const again = () => go(location.pathname + location.search);
      const state = document_.state === "to_date" ? "to date" : document_.revision > 1 ? `restated, revision ${document_.revision}` : "closed, revision 1";
      replace(root,
        el("div", { class: "strip report-strip" },
          el("h1", null, "Monthly Operating Report"),
          el("p", { class: "dim" }, `${document_.scope_name}, ${format.month(document_.month)}, ${state}`, document_.issue ? `, issue ${document_.issue.number}` : ""),
          el("p", { class: "forms" }, el("a", { href: source(found.selection, "html"), target: "_blank", rel: "noopener" }, "On its own"),
            FORMS.map(([name, word]) => el("a", { href: source(found.selection, name), download: name === "json" ? `report-${document_.month}.json` : true }, word))),
          el("p", { class: "forms" }, info.register ? leap("act", "Act on it") : null, info.register && !issue ? leap("comment", "Comment") : null, leap("issued", "Issued reports")),
        ),
        framed.made,
        info.register ? el("section", { id: "act", tabindex: -1 }, el("h2", null, "Act on it"), acting(document_)) : null,
        info.register && !issue ? el("section", { id: "comment", tabindex: -1 }, el("h2", null, "Comment"), commenting(document_, info, again)) : null,
        el("section", { id: "issued", tabindex: -1 }, el("h2", null, "Issued reports"), issued(found.issues)),
      );
    },
  };
}
