// The page's heart: it listens to GET /events and hands on what changed.
import { age, byId, el, fill, serverTime, setText, tellAges } from "./dom.js";
import { showNodes } from "./nodes.js";
import { showBlocks } from "./blocks.js";
import { showDisputes } from "./disputes.js";
import { showProposals } from "./proposals.js";
import { showEvidence } from "./evidence.js";

// What is shown, by key. A snapshot begins it anew, a change adds to it.
const state = { order: [], nodes: new Map(), blocks: new Map(), disputes: new Map(), proposals: new Map() };
const bounds = { blocks: 64, disputes: 32, proposals: 32 };

function take(message, anew) {
  serverTime(message.now);
  if (anew) {
    for (const list of ["nodes", "blocks", "disputes", "proposals"]) state[list].clear();
    state.order = [];
  }
  if (message.order) {
    state.order = message.order;
    for (const name of state.nodes.keys()) if (!state.order.includes(name)) state.nodes.delete(name);
  }
  for (const n of message.nodes ?? []) state.nodes.set(n.name, n);
  for (const [list, bound] of Object.entries(bounds)) {
    for (const entry of message[list] ?? []) state[list].set(entry.id, entry);
    for (const id of [...state[list].keys()].sort((a, b) => a - b).slice(0, -bound)) state[list].delete(id);
  }
  const has = (list) => anew || message[list];
  if (message.summary) showSummary(message.summary);
  if (has("nodes") || has("order")) showNodes(state);
  if (has("blocks") || has("order")) showBlocks(state);
  if (has("disputes")) showDisputes(state);
  if (has("disputes")) showEvidence();
  if (has("proposals")) showProposals(state);
}

const signs = { good: "✓", warn: "!", bad: "✕" };
const colors = { good: "#1f8a43", warn: "#c98a00", bad: "#d1242f", none: "#8a94a0" };
let summary = null;

function showSummary(s) {
  summary = s;
  const box = byId("summary");
  box.dataset.level = s.level;
  setText(box.querySelector(".sign"), signs[s.level] ?? "");
  setText(byId("summary-text"), s.text);
  byId("next-fork").hidden = s.fork === "";
  setText(byId("next-fork"), s.fork);
  fill(byId("summary-notes"), s.notes.map((n) => el("li", null, n)));
  tellTab();
}

// tellTab makes the browser's tab tell the state too.
function tellTab() {
  const level = lostSince ? "none" : (summary?.level ?? "none");
  const sign = lostSince ? "?" : { warn: "!", bad: "✕" }[level];
  document.title = (sign ? sign + " " : "") + (lostSince ? "connection lost" : (summary?.text ?? "")) + " – ExecutionBackup";
  const shape = { good: '<circle cx="8" cy="8" r="7"', warn: '<path d="M8 1 15 15H1z"', bad: '<rect x="1" y="1" width="14" height="14"', none: '<circle cx="8" cy="8" r="4"' }[level];
  byId("icon").href = "data:image/svg+xml," + encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${shape} fill="${colors[level]}"/></svg>`);
}

// The connection. EventSource would give up for good on an answer like 503, so it is made anew by hand.
const patience = 40_000; // without a sign of life, in milliseconds; the server gives one every 15 seconds
let source = null, lostSince = 0, lastNews = 0, attempts = 0, stopping = false;

function connect() {
  source = new EventSource("/events");
  const news = (take) => (event) => {
    lastNews = Date.now();
    take(event);
  };
  source.addEventListener("snapshot", news((event) => {
    lostSince = 0;
    attempts = 0;
    stopping = false;
    take(JSON.parse(event.data), true);
    tellConnection();
  }));
  source.addEventListener("change", news((event) => take(JSON.parse(event.data), false)));
  source.addEventListener("alive", news(() => {}));
  source.addEventListener("stopping", () => { stopping = true; });
  source.addEventListener("error", lost);
  lastNews = Date.now();
}

function lost() {
  source.close();
  lostSince ||= Date.now();
  tellConnection();
  setTimeout(connect, Math.min(5000, 500 * 2 ** attempts++));
}

function tellConnection() {
  const box = byId("connection");
  const state = lostSince ? "lost" : "live";
  if (box.dataset.state !== state) {
    box.dataset.state = state;
    document.documentElement.toggleAttribute("data-stale", state === "lost");
    tellTab();
  }
  const why = stopping ? "ExecutionBackup stopped" : "connection lost";
  setText(box, lostSince ? `${why} ${age(Math.floor((Date.now() - lostSince) / 1000))} ago, trying again` : "live");
}

setInterval(showEvidence, 30_000); // not all of it has a dispute
setInterval(() => {
  tellAges();
  if (lostSince) tellConnection();
  else if (Date.now() - lastNews > patience) lost();
}, 1000);
connect();
