// Numbers, units, times and words as people read them.

const MINUS = "\u2212";
const NARROW = "\u202f";
const SHORT_UNITS = { "points (1-5)": "of 5", "points (1-7)": "of 7" };
/** Units that only repeat the KPI's name. */
const NAMED_UNITS = new Set(["incidents", "outages", "users", "pages", "breaches", "vulnerabilities", "points"]);

export const WINDOW_WORDS = { "5m": "5 minutes", "30m": "30 minutes", "1h": "hour", "6h": "6 hours", "24h": "24 hours", "3d": "3 days", "7d": "7 days", "30d": "30 days" };

export const CSF_WORDS = { aligned: "Aligned", at_risk: "At risk", concern: "Concern", unknown: "Unknown" };
export const KPI_WORDS = { on_target: "On target", amber: "Amber", red: "Red", unknown: "Unknown" };
/** One tone a status, for both vocabularies. */
export const TONE = {
  aligned: "good", on_target: "good", at_risk: "warn", amber: "warn", concern: "bad", red: "bad", unknown: "none",
};

const formats = new Map();

function digits(decimals) {
  if (!formats.has(decimals)) {
    formats.set(decimals, new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return formats.get(decimals);
}

export function number(value, decimals) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "unknown";
  const text = digits(decimals).format(Math.abs(value));
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

export function shortUnit(unit) {
  return SHORT_UNITS[unit] || (NAMED_UNITS.has(unit) ? "" : unit);
}

/** The unit as it follows a number. */
export function unitAfter(unit) {
  const short = shortUnit(unit);
  return short ? NARROW + short : "";
}

/** Many seconds as [length of the unit, its name] of a unit that people think in, as pipeline/evaluate/duration.py; null: as they are. */
export function better(value, unit) {
  const size = Math.abs(value ?? 0);
  if (unit !== "s" || !(size >= 600 && size < Infinity)) return null;
  return [[731 * 86400, 365.25 * 86400, "years"], [172800, 86400, "days"], [5400, 3600, "h"], [0, 60, "min"]].find(([least]) => size >= least).slice(1);
}

function measured(value, [length, name]) {
  const text = String(Number((Math.abs(value) / length).toPrecision(3)));
  return (value < 0 ? MINUS : "") + text + NARROW + name;
}

/** What a chart of points shows, with the unit of its axis. */
export function withUnit(name, points, unit) {
  const scaled = better(Math.max(0, ...points.map((p) => Math.abs(p.value ?? 0))), unit);
  const shown = scaled ? scaled[1] : shortUnit(unit);
  return shown ? `${name} (${shown})` : name;
}

/** The unit that follows a KPI's figure, which may have a better one already. */
export function unitOf(value, unit) {
  return value === null || value === undefined || better(value, unit) ? "" : unitAfter(unit);
}

/** A KPI's number; a percentage below 100 never reads as 100; many seconds have a better unit. */
export function figure(value, kpi) {
  const scaled = better(value, kpi.unit);
  if (scaled) return measured(value, scaled);
  const unit = 10 ** kpi.decimals;
  const shown = kpi.unit === "%" && value !== null && value < 100 && value > 100 - 1 / unit ? Math.floor(value * unit) / unit : value;
  return number(shown, kpi.decimals);
}

export function quantity(value, kpi) {
  return figure(value, kpi) + unitOf(value, kpi.unit);
}

/** A target is written without decimals it does not need, and without its unit but for seconds, which values may leave behind. */
export function bound(value, kpi) {
  if (value === null || value === undefined) return "none";
  const sign = { up: "\u2265", down: "\u2264", zero: "\u00b1" }[kpi.direction];
  const scaled = better(value, kpi.unit);
  if (scaled) return `${sign}${NARROW}${measured(value, scaled)}`;
  const text = new Intl.NumberFormat("en", { maximumFractionDigits: Math.max(3, kpi.decimals) }).format(value);
  return `${sign}${NARROW}${text.replace("-", MINUS)}${kpi.unit === "s" ? `${NARROW}s` : ""}`;
}

export function score(value) {
  // cut, not rounded: 79.6 is below a limit of 80 and must not read as 80
  return value === null || value === undefined ? "\u2013" : String(Math.floor(value + 1e-9));
}

export function percent(share) {
  if (share === null || share === undefined) return "unknown";
  const value = 100 * share;
  // never round up to a whole that was not reached
  return value >= 99.95 && value < 100 ? "99.9%" : `${value.toFixed(value < 100 && value > 0 ? 1 : 0)}%`;
}

/** The reason why something is unknown, where there is little room. */
export function brief(reason) {
  return reason.replace("sample too small: ", "sample ");
}

/** How much a value is made of: records, or the time that was checked. */
export function sample(amount, unit) {
  return unit === "s" && amount > 0 ? length(amount) : count(amount);
}

export function count(value) {
  return number(value, 0);
}

export function compact(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

const DAY = 86400;
/** From so many seconds on, the length of the unit, one of it, several: the steps of pipeline/evaluate/duration.py. */
const STEPS = [[731 * DAY, 365.25 * DAY, "year", "years"], [61 * DAY, 30.44 * DAY, "month", "months"], [2 * DAY, DAY, "day", "days"], [5400, 3600, "h", "h"], [90, 60, "min", "min"]];

/** A length of time in its largest fitting unit: "45 s", "12 min", "31 h", "6 months". */
export function length(seconds) {
  const found = STEPS.find(([least]) => seconds >= least);
  if (!found) return `${Math.round(Math.max(seconds, 0))} s`;
  const [, unit, one, several] = found;
  const rounded = Math.round(seconds / unit);
  return `${rounded} ${rounded === 1 ? one : several}`;
}

export function age(seconds) {
  return seconds < 1 ? "now" : `${length(seconds)} ago`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "2026-10-01T00:00:00+02:00" or "2026-10" as "Oct 2026": read from the text, so the browser's zone plays no part. */
export function month(text) {
  return `${MONTHS[Number(text.slice(5, 7)) - 1]} ${text.slice(0, 4)}`;
}

export function monthInitial(text) {
  return MONTHS[Number(text.slice(5, 7)) - 1];
}

export function clockTime(text) {
  return text ? `${text.slice(0, 10)} ${text.slice(11, 19)}` : "never";
}

export function span(document) {
  if (!document.start) return "nothing measured yet";
  if (document.period === "month") return month(document.start);
  if (document.period === "day") return document.start.slice(0, 10);
  return `last ${WINDOW_WORDS[document.period] || document.period}, until ${document.end.slice(11, 16)}`;
}

export function stateWords(kpi) {
  if (kpi.state === "restated") return `restated, rev ${kpi.revision}`;
  return { live: "live", to_date: "to date", closed: "closed" }[kpi.state] || "\u2013";
}

/** A change in words and signs; for percentages in points, else relative. */
export function change(kpi) {
  const found = kpi.change;
  if (!found) return null;
  const sign = found.delta > 0 ? "\u25b2" : found.delta < 0 ? "\u25bc" : "\u25b6";
  let size;
  if (found.delta === 0) size = "";
  else if (kpi.unit === "%") size = `${number(Math.abs(found.delta), Math.max(1, Math.min(2, kpi.decimals)))} pt`;
  else if (kpi.direction === "zero" || found.percent === null || Math.abs(found.percent) >= 1000) size = number(Math.abs(found.delta), kpi.decimals);
  else size = `${number(Math.abs(found.percent), Math.abs(found.percent) < 10 ? 1 : 0)}%`;
  const word = found.better === null ? "unchanged" : found.better ? "better" : "worse";
  return { sign, size, word, tone: found.better === null ? "none" : found.better ? "good" : "bad" };
}
