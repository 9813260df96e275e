// Disputes stay on top until they are acknowledged in this browser, however old.
import { ago, byId, el, fill, group, nameOf, shortHash, when } from "./dom.js";
import { told, voteTable } from "./blocks.js";

const kept = "acknowledged";
let last = null;

// Ids begin anew when ExecutionBackup restarts, so a dispute is known by its time and block.
const key = (d) => d.time + " " + d.hash;

function acknowledged() {
  try { return new Set(JSON.parse(localStorage.getItem(kept) ?? "[]")); } catch { return memory; }
}
const memory = new Set(); // for browsers that keep nothing

function acknowledge(disputes) {
  for (const d of disputes) memory.add(key(d));
  const all = [...acknowledged(), ...disputes.map(key)].slice(-200);
  try { localStorage.setItem(kept, JSON.stringify(all)); } catch { /* then for as long as the page is open */ }
  showDisputes(last);
  byId("summary").querySelector("h1").setAttribute("tabindex", "-1");
  (byId("pinned").querySelector("button") ?? byId("summary-text")).focus();
}

addEventListener("storage", (event) => { if (event.key === kept && last) showDisputes(last); });

export function showDisputes(state) {
  last = state;
  const known = acknowledged();
  const all = [...state.disputes.values()].sort(rank);
  const open = all.filter((d) => !known.has(key(d)) && !memory.has(key(d)));
  const past = all.filter((d) => !open.includes(d));
  const focused = document.activeElement?.dataset?.key;
  byId("pinned").hidden = open.length === 0;
  fill(byId("pinned"),
    open.slice(0, 1).map((d) => show(d, true)), // the others in a line each: the nodes must stay in sight
    open.length > 1 && el("div", { class: "more", tabindex: "0", role: "group", "aria-label": "Earlier disputes" }, open.slice(1).map((d) => show(d, false))),
    open.length > 1 && el("p", null, el("button", { type: "button", "data-key": "all", onclick: () => acknowledge(open) }, `Acknowledge all ${open.length}`)));
  byId("past").hidden = past.length === 0;
  fill(byId("past-list"), past.map((d) => show(d, false)));
  if (focused) [...document.querySelectorAll("#pinned button")].find((b) => b.dataset.key === focused)?.focus();
}

// goes tells how it goes on, or how it went.
function goes(d) {
  const calls = d.calls > 1 ? `${group(d.calls)} calls` : "1 call";
  if (d.standing && d.kind === "late" && d.calls === 1) return ["it stands"];
  if (d.standing) return [`it goes on: ${calls} so far, the consensus client `, hears(d)];
  if (d.calls === 1) return ["it is over"];
  return [`it went on for ${calls}, until `, when(d.last)];
}

// hears is what the consensus client hears while it goes on.
function hears(d) {
  if (d.would) return `heard ${d.heard || "nothing yet"} and would have heard ${d.would}`;
  return d.heard ? `hears ${d.heard}` : (d.shadow ? "would have " : "") + "got another payload, if there was one";
}

function show(d, open) {
  const kind = d.kind === "late" || (d.kind === "proposal" && d.late_objection && !d.dispute) ? "Late objection" : "Dispute";
  const who = d.objectors.length <= 3 ? d.objectors.map((name, i) => [i > 0 && ", ", nameOf(name)]) : `${d.objectors.length} nodes`;
  const text = [
    el("p", { class: "muted" }, d.standing ? ["since ", when(d.time), " (", ago(d.time, ""), ")"] : [when(d.time), " (", ago(d.time), ")"],
      ` · ${d.method} · `, d.standing && (d.kind === "chain" || d.calls > 1) ? "" : [told(d), " · "], goes(d)),
    d.why && el("p", { class: "muted" }, d.standing ? "decided by the rule " : "was decided by the rule ", el("code", null, d.rule), `: ${d.why}`),
    d.calls > 1 && el("p", { class: "muted" }, "At its beginning the nodes said:"),
    voteTable(d.votes),
  ];
  const about = d.kind === "proposal" ? " about a payload for block " : " about block ";
  const title = [el("b", { class: "mark" }, "⚑ " + kind), `${about}${d.number ? group(d.number) : ""} `, el("code", { title: d.hash }, shortHash(d.hash)),
    d.objectors.length > 0 && [d.standing ? ": objected to by " : ": was objected to by ", who]];
  if (!open) return el("details", { class: "dispute" }, el("summary", null, title, " · ", when(d.time)), text);
  return el("article", { class: "dispute", "data-dispute": d.hash },
    el("div", { class: "top" },
      el("h2", null, title),
      el("button", { type: "button", "data-key": key(d), onclick: () => acknowledge([d]) }, "Acknowledge")),
    text);
}

// rank orders disputes: those that stand first, of these the gravest, then the last one.
const grave = ["chain", "late", "proposal"];
const rank = (a, b) => b.standing - a.standing || (a.standing && grave.indexOf(a.kind) - grave.indexOf(b.kind)) || b.id - a.id;
