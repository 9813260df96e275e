// Disputes stay on top until they are acknowledged in this browser, however old.
import { ago, byId, el, fill, group, shortHash, when } from "./dom.js";
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
  const all = [...state.disputes.values()].sort((a, b) => b.id - a.id);
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

function show(d, open) {
  const kind = d.late_objection && !d.dispute ? "Late objection" : "Dispute";
  const on = d.calls > 1 ? ` · it went on for ${group(d.calls)} calls, until ` : "";
  const text = [
    el("p", { class: "muted" }, when(d.time), " (", ago(d.time), `) · ${d.method} · `, told(d), on, on ? when(d.last) : ""),
    d.why && el("p", { class: "muted" }, "decided by the rule ", el("code", null, d.rule), `: ${d.why}`),
    voteTable(d.votes),
  ];
  const title = [el("b", { class: "mark" }, "⚑ " + kind), ` about block ${d.number ? group(d.number) : ""} `, el("code", { title: d.hash }, shortHash(d.hash))];
  if (!open) return el("details", { class: "dispute" }, el("summary", null, title, " · ", when(d.time)), text);
  return el("article", { class: "dispute", "data-dispute": d.hash },
    el("div", { class: "top" },
      el("h2", null, title),
      el("button", { type: "button", "data-key": key(d), onclick: () => acknowledge([d]) }, "Acknowledge")),
    text);
}
