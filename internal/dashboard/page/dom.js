// Elements and words. Whatever a node sends ends up in text nodes and attributes only, never as markup.

// el makes an element. Properties are set as attributes, but for class, on* and hidden; children are elements or text,
// and null is left out.
export function el(tag, properties, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return e;
}

export const byId = (id) => document.getElementById(id);

// fill replaces what an element holds.
export function fill(e, ...children) {
  e.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
}

// nameOf shows a node's name, cut in the middle where it is long: names differ at their ends as often as at their
// beginnings. Who hears the page hears all of it.
export function nameOf(name, longest = 26) {
  if (name.length <= longest) return name;
  const head = Math.ceil((longest - 1) / 2), tail = longest - 1 - head;
  return el("span", { title: name },
    el("span", { "aria-hidden": "true" }, name.slice(0, head) + "…" + name.slice(-tail)),
    el("span", { class: "heard" }, name));
}

// fromSix is from how many nodes on those that are well are folded.
export const fromSix = 6;

// setText touches the page only where something changes: screen readers read what does.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// took writes microseconds as one reads them.
export function took(microseconds) {
  const ms = microseconds / 1000;
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  return inSeconds(microseconds);
}

// inSeconds writes microseconds in seconds, however few.
export const inSeconds = (microseconds) => (Math.round(microseconds / 1e5) / 10).toFixed(1) + " s";

export const shortHash = (hash) => (hash.length > 14 ? hash.slice(0, 8) + "…" + hash.slice(-4) : hash);

const grouped = new Intl.NumberFormat("en");
export const group = (n) => grouped.format(n).replaceAll(",", "\u202f"); // narrow no-break space

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

// when writes a time, with its date where that isn't today.
export function when(time) {
  const t = new Date(time);
  const today = t.toDateString() === new Date().toDateString();
  return el("time", { datetime: t.toISOString(), title: t.toString() }, (today ? "" : day.format(t) + " ") + clock.format(t));
}

// Ages go on by themselves. skew is how far this clock is ahead of the server's, in milliseconds.
export let skew = 0;
export function serverTime(now) { skew = Date.now() - new Date(now).getTime(); }

export function ago(time, after = " ago") {
  const e = el("time", { datetime: time, title: new Date(time).toString(), "data-after": after });
  tellAge(e);
  return e;
}

export function tellAges() {
  const stale = "stale" in document.documentElement.dataset; // then what was known doesn't grow older as if it still held
  for (const e of document.querySelectorAll(stale ? "#summary time[data-after], #old time[data-after]" : "time[data-after]")) tellAge(e);
}

function tellAge(e) {
  const seconds = Math.max(0, Math.floor((Date.now() - skew - new Date(e.dateTime).getTime()) / 1000));
  setText(e, age(seconds) + e.dataset.after);
}

export function age(seconds) {
  if (seconds < 60) return seconds + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  if (seconds < 48 * 3600) return Math.floor(seconds / 3600) + " h";
  const days = Math.floor(seconds / 86400);
  return days < 731 ? days + " days" : Math.floor(days / 365.25) + " years";
}

// ether writes wei (a decimal string) as ETH.
export function ether(wei) {
  if (wei === "") return "–";
  const negative = wei.startsWith("-");
  const digits = wei.replace("-", "").padStart(19, "0");
  const text = digits.slice(0, -18) + "." + digits.slice(-18, -12);
  if (/^0\.0*$/.test(text) && /[1-9]/.test(digits)) return wei + " wei";
  return (negative ? "−" : "") + text + " ETH";
}
