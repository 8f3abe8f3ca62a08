// Forms that enter something into the register: fields with labels, one sentence where the server refuses.

import { el } from "./dom.js";

const NAME = "csf-name";

/** The name last given in this browser: a convenience, no proof of who it is. */
function keptName() {
  try {
    return localStorage.getItem(NAME) || "";
  } catch {
    return "";
  }
}

/** Fields of one name may stand in several forms of a page; their hints are told apart by number. */
let hints = 0;

/** A labelled field; ``control`` is an input, select or textarea with a name. */
export function field(label, control, hint = null) {
  const told = hint ? el("small", { id: `hint-${control.name}-${++hints}` }, hint) : null;
  if (told) control.setAttribute("aria-describedby", told.id);
  return el("label", { class: "field" }, el("span", null, label), control, told);
}

export function nameField(token) {
  const control = el("input", { name: "who", required: !token, maxlength: 100, autocomplete: "name", value: keptName() });
  return field("Your name", control, token ? "for the audit trail; without it the entry is the token's" : "for the audit trail");
}

/**
 * A form. ``submit`` gets its values by name and returns a promise; what it throws is told in the form, with what was
 * typed left as it is.
 */
export function form(title, fields, word, submit, extra = []) {
  const complaint = el("p", { class: "complaint", role: "alert", hidden: true });
  const button = el("button", { type: "submit", class: "act" }, word);
  const made = el("form", { class: "entry", "aria-label": title, novalidate: true }, fields, complaint, el("div", { class: "buttons" }, button, extra));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(made));
    const missing = [...made.elements].find((c) => c.required && !c.value.trim());
    if (missing) {
      complaint.hidden = false;
      complaint.textContent = `${missing.closest("label").querySelector("span").textContent}: please fill this in`;
      missing.focus();
      return;
    }
    button.disabled = true;
    complaint.hidden = true;
    try {
      if (values.who) localStorage.setItem(NAME, values.who);
    } catch {
      // a browser that keeps nothing asks again
    }
    try {
      await submit(values);
    } catch (error) {
      complaint.hidden = false;
      complaint.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
  return made;
}

/** A number as typed, with a point or a comma; null where nothing was typed. */
export function typedNumber(text) {
  if (text === undefined || text.trim() === "") return null;
  const value = Number(text.trim().replace(",", ".").replace("\u2212", "-"));
  if (!Number.isFinite(value)) throw new Error(`'${text.trim().slice(0, 40)}' is no number; write it like 12.5`);
  return value;
}

export function textArea(name, rows, most, value = "", required = false) {
  return el("textarea", { name, rows, maxlength: most, required }, value);
}

export function choice(name, options, chosen) {
  const made = el("select", { name }, options.map(([value, text]) => el("option", { value }, text)));
  if (chosen !== undefined && chosen !== null) made.value = chosen;
  return made;
}
