// The page's heart: it listens to GET /events and hands on what changed.
import { ago, byId, el, fill, serverTime, setText, skew, tellAges, when } from "./dom.js";
import { showNodes } from "./nodes.js";
import { showBlocks } from "./blocks.js";
import { showDisputes } from "./disputes.js";
import { showProposals } from "./proposals.js";
import { showEvidence } from "./evidence.js";

// What is shown, by key. A snapshot begins it anew, a change adds to it.
const state = { order: [], alone: "", nodes: new Map(), blocks: new Map(), disputes: new Map(), proposals: new Map() };
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
  const moved = message.status && message.status.alone !== state.alone;
  if (moved) state.alone = message.status.alone;
  if (message.status) {
    const first = status?.started !== message.status.started || status?.network !== message.status.network || status?.mode !== message.status.mode ||
      JSON.stringify(status?.policy) !== JSON.stringify(message.status.policy);
    status = message.status;
    showStatus(status);
    if (first) showInstance(status);
  }
  if (has("nodes") || has("order") || moved) showNodes(state);
  if (has("blocks") || has("order")) showBlocks(state);
  if (has("disputes")) showDisputes(state);
  if (has("disputes")) showEvidence();
  if (has("proposals")) showProposals(state);
}

const signs = { good: "✓", warn: "!", bad: "✕" };
const colors = { good: "#1f8a43", warn: "#c98a00", bad: "#d1242f", none: "#8a94a0" };
let status = null; // the last that was heard

// showStatus shows a status: the last one that came, or that none comes.
function showStatus(s) {
  const box = byId("summary");
  box.dataset.level = s.level;
  setText(box.querySelector(".sign"), signs[s.level] ?? "");
  setText(byId("summary-text"), s.headline);
  show("since", s.since && ["since ", when(s.since), ", ", ago(s.since, "")]);
  show("meaning", s.meaning && [s.meaning]);
  show("next-fork", s.fork && [s.fork]);
  fill(byId("do"), s.do.map((step) => el("li", null, step.text, step.command && [" ", el("code", null, step.command)])));
  fill(byId("summary-notes"), s.notes.map((n) => el("li", null, n)));
  tellTab(s);
}

// show fills a line of the summary, or hides it. What hasn't changed isn't touched: screen readers read what does.
function show(id, content) {
  const line = byId(id), text = (content || []).map((c) => c.textContent ?? c).join("");
  if (line.hidden === !content && line.textContent === text) return;
  line.hidden = !content;
  fill(line, content || []);
}

// showInstance tells which ExecutionBackup this is. That stays true when it doesn't answer.
function showInstance(s) {
  const p = s.policy;
  const rules = [`on dispute: ${p.on_dispute}`, `threshold ${p.threshold}`, `vote by ${p.vote_by}`, `min valid ${p.min_valid}`];
  fill(byId("instance"), [s.instance, s.network].filter(Boolean).map((word) => el("b", null, word)),
    s.mode !== "active" && el("b", { class: "mode" }, "mode " + s.mode),
    s.version && el("span", { title: s.version }, s.version.split(" ")[0]),
    el("span", { class: "up" }, "up ", ago(s.started, "")),
    el("span", null, rules.join(", ")));
}

// tellTab makes the browser's tab tell the state too, and of which instance.
function tellTab(s) {
  const sign = { warn: "!", bad: "✕" }[s.level];
  const which = [status?.instance, status?.network].filter(Boolean).join(" · ");
  document.title = [(sign ? sign + " " : "") + s.headline, which, "ExecutionBackup"].filter(Boolean).join(" – ");
  const shape = { good: '<circle cx="8" cy="8" r="7"', warn: '<path d="M8 1 15 15H1z"', bad: '<rect x="1" y="1" width="14" height="14"', none: '<circle cx="8" cy="8" r="4"' }[s.level];
  byId("icon").href = "data:image/svg+xml," + encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${shape} fill="${colors[s.level]}"/></svg>`);
}

// The connection. EventSource would give up for good on an answer like 503, so it is made anew by hand.
const patience = 40_000; // without a sign of life, in milliseconds; the server gives one every 15 seconds
let source = null, lostSince = 0, lastNews = 0, asked = 0, attempts = 0, stopping = false, answers = false;

function connect() {
  asked = Date.now();
  source = new EventSource("events");
  const news = (take) => (event) => {
    lastNews = Date.now();
    take(event);
  };
  source.addEventListener("snapshot", news((event) => {
    lostSince = 0;
    attempts = 0;
    stopping = answers = false;
    document.documentElement.dataset.known = "";
    tellConnection();
    take(JSON.parse(event.data), true);
  }));
  source.addEventListener("change", news((event) => take(JSON.parse(event.data), false)));
  source.addEventListener("alive", news(() => {}));
  source.addEventListener("stopping", () => { stopping = true; });
  source.addEventListener("error", lost);
}

async function lost() {
  source.close();
  asked = Date.now();
  lostSince ||= asked;
  try { answers = (await fetch("healthz", { cache: "no-store" })).ok; } catch { answers = false; }
  tellConnection();
  setTimeout(connect, Math.min(5000, 500 * 2 ** attempts++));
}

function tellConnection() {
  const box = byId("connection");
  const lost = lostSince > 0;
  box.dataset.state = lost ? "lost" : "live";
  document.documentElement.toggleAttribute("data-stale", lost);
  setText(box, lost ? "no news, trying again" : "live");
  byId("old").hidden = !lost || lastNews === 0;
  if (!lost) return;
  if (!byId("old").hidden) fill(byId("old"), "What follows is old: it was so at ", when(lastNews), ", ", ago(new Date(lastNews - skew).toISOString()), ".");
  showStatus(answers ? refused() : silent());
}

// silent is the status where nobody answers. The consensus client most likely hears as little as this page.
function silent() {
  return {
    level: "bad", headline: stopping ? "ExecutionBackup has stopped" : "ExecutionBackup doesn't answer",
    since: new Date(lostSince - skew).toISOString(), fork: "", notes: [],
    meaning: "Unless only the way from this browser is broken, the consensus client hears nothing: its validators neither attest nor propose.",
    do: [
      { text: "See whether it runs, and what it said last:", command: "systemctl status executionbackup" },
      { text: "In a container:", command: "docker ps --all --filter name=executionbackup" },
    ],
  };
}

// refused is the status where it answers, but sends no events: it serves 32 pages at most.
function refused() {
  return {
    level: "warn", headline: "This page gets no news, though ExecutionBackup answers", since: new Date(lostSince - skew).toISOString(),
    fork: "", notes: [], meaning: "It serves 32 pages at a time; a proxy in between may hold events back.",
    do: [{ text: "Close other pages, or ask for the state:", command: "executionbackup status" }],
  };
}

setInterval(showEvidence, 30_000); // not all of it has a dispute
setInterval(() => {
  tellAges();
  if (Date.now() - Math.max(lastNews, asked) > patience) lost();
}, 1000);
connect();
