// A card for each node.
import { ago, byId, el, fromSix, group, nameOf, setText, took } from "./dom.js";

const cards = new Map(); // by name: what is shown, and of what

export function showNodes(state) {
  const highest = Math.max(0, ...[...state.nodes.values()].map((n) => n.head?.number ?? 0));
  for (const name of cards.keys()) {
    if (state.nodes.has(name)) continue;
    cards.get(name).element.remove();
    cards.delete(name);
  }
  const last = new Map(); // the card that a list ends with so far
  let folded = 0;
  for (const name of sorted(state)) {
    const node = state.nodes.get(name);
    if (!node) continue;
    const behind = node.head ? highest - node.head.number : 0;
    let card = cards.get(name);
    if (!card || card.node !== node || card.behind !== behind || card.alone !== state.alone) {
      const element = show(node, behind, state.alone);
      if (card) card.element.replaceWith(element);
      card = { element, node, behind, alone: state.alone };
      cards.set(name, card);
    }
    const fold = state.order.length >= fromSix && isWell(node);
    if (fold) folded++;
    const list = byId(fold ? "well" : "nodes"), after = last.get(list) ?? null;
    if (card.element.previousElementSibling !== after || card.element.parentNode !== list) {
      after ? after.after(card.element) : list.prepend(card.element);
    }
    last.set(list, card.element);
  }
  byId("more-nodes").hidden = folded === 0;
  setText(byId("more-nodes").firstElementChild, folded === 1 ? "1 node that is well" : `${folded} nodes that are well`);
}

// sorted has the nodes in their order; where there are many, those with something the matter first.
function sorted(state) {
  if (state.order.length < fromSix) return state.order;
  const rank = (name) => (state.nodes.has(name) && isWell(state.nodes.get(name)) ? 1 : 0);
  return state.order.toSorted((a, b) => rank(a) - rank(b));
}

// isWell reports whether a node votes in time, or rests as it should, and objects to nothing.
export const isWell = (n) => condition(n)[0] === "alive" && !n.drained;

// condition is the one word that tells most of a node, and its sign.
function condition(n) {
  if (n.state === "dead") return ["dead", "✕"];
  if (n.objections > 0 && !n.do_not_use && !n.drained) return ["objects", "⚑"];
  if (n.state === "syncing") return ["syncing", "↻"];
  if (n.state !== "alive") return ["unknown", "?"];
  if (n.laggard) return ["late", "◷"];
  return ["alive", "✓"];
}

function show(n, behind, alone) {
  const [word, sign] = condition(n);
  const flags = [
    n.name === alone && el("span", { class: "flag alone", title: "what it says the consensus client hears, and nothing else" }, "answers alone"),
    n.primary && el("span", { class: "flag primary", title: "serves what one node can answer" }, "★ primary"),
    n.laggard && word !== "late" && el("span", { class: "flag", title: "nobody waits for it" }, "late"),
    n.drained && el("span", { class: "flag", title: "gets every call and never votes" }, "drained"),
    n.backup && el("span", { class: "flag", title: "votes where no other node that is alive and no laggard can" }, "backup"),
    n.shadow && el("span", { class: "flag", title: "gets every call and never votes; what it says is counted" }, "tried"),
    n.do_not_use && !n.shadow && el("span", { class: "flag", title: "gets every call and never votes" }, "do not use"),
  ].filter(Boolean);
  return el("li", { class: "card", "data-node": n.name, "data-condition": word, "data-aside": n.drained || n.do_not_use || (n.backup && !n.votes) },
    el("div", { class: "top" },
      el("h3", { title: n.url }, nameOf(n.name)),
      el("span", { class: "state" }, el("b", { "aria-hidden": "true" }, sign), " ", el("span", { class: "word" }, word))),
    el("p", { class: "client" }, client(n), el("span", { class: "flags" }, flags)),
    el("dl", null,
      row("since", ago(n.since, "")),
      n.reason && row("why", n.reason, "reason"),
      n.objections > 0 && row("objects to", n.objections + (n.objections === 1 ? " block" : " blocks"), "reason"),
      row("head", head(n, behind)),
      row("newPayload", times(n)),
      row(n.shadow ? "agreed" : "votes", n.shadow ? agreed(n) : votes(n)),
      forks(n.forks),
      n.lacks && row("lacks", clipped(n.lacks.join(", "))),
      n.last_error && n.last_error !== n.reason && row("last error", [n.last_error, " · ", ago(n.last_error_at)], "error")),
    sparkline(n.new_payload.recent));
}

const row = (name, value, kind) => el("div", { class: kind }, el("dt", null, name), el("dd", null, value));

function client(n) {
  const v = n.client_versions?.[0];
  const text = v?.name ? [v.name, v.version].filter(Boolean).join(" ") : n.client;
  return el("span", { title: n.client || text }, text || "unknown client");
}

function head(n, behind) {
  if (!n.head) return "–";
  const parts = [group(n.head.number) + " ", el("code", { title: n.head.hash }, n.head.hash.slice(0, 8) + "…")];
  // One block is what a node may lack while it is being asked.
  if (behind > 1 && n.state !== "dead") parts.push(el("span", { class: "behind" }, ` ${group(behind)} behind`));
  return parts;
}

function times(n) {
  const t = n.new_payload;
  const probe = n.response_time > 0 ? `probe ${took(n.response_time)}` : null;
  if (t.median === 0) return probe ? ["none lately · ", probe] : "–";
  return [el("b", { title: "median of the last ten minutes" }, took(t.median)), " · p99 ", el("b", { title: "of the last ten minutes" }, took(t.p99))];
}

function votes(n) {
  if (n.votes_won + n.votes_lost === 0) return "–";
  return [group(n.votes_won) + " won · ", el("span", { class: n.votes_lost > 0 ? "lost" : null }, group(n.votes_lost) + " lost")];
}

// agreed tells how often a node that is tried says what the consensus client hears of us.
function agreed(n) {
  const all = n.votes_won + n.votes_lost;
  if (all === 0) return "–";
  return el("span", { class: n.votes_lost > 0 ? "lost" : null }, `${group(n.votes_won)} of ${group(all)}`);
}

// forks tells whether a node is ready for the next fork, and how its configuration differs.
function forks(f) {
  if (!f) return null;
  return [
    f.ready === true && row("next fork", "ready"),
    f.ready === false && row("next fork", "not ready: " + f.says, "differs"),
    f.differences.map((d) => row("forks differ", [el("b", null, d.field), clipped(`: ${d.own}; the others: ${d.others}`)], "differs")),
  ].flat();
}

// clipped leaves out what is more than a card has room for; GET /forks and GET /nodes have all of it.
function clipped(text) {
  return text.length <= 240 ? text : el("span", { title: text }, text.slice(0, 239) + "…");
}

// sparkline draws how long the last newPayloads took: heights by square root, so that a slow one stands out and the
// others don't vanish.
function sparkline(recent) {
  if (recent.length < 2) return el("div", { class: "spark" });
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  const top = Math.max(...recent, 1000);
  svg.setAttribute("viewBox", "0 0 64 16");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `the last ${recent.length} newPayloads took at most ${took(top)}`);
  recent.forEach((t, i) => {
    const bar = document.createElementNS(ns, "rect");
    const height = Math.max(1, 16 * Math.sqrt(t / top));
    bar.setAttribute("x", 64 - recent.length + i + 0.12);
    bar.setAttribute("y", 16 - height);
    bar.setAttribute("width", 0.76);
    bar.setAttribute("height", height);
    if (t >= 2_000_000) bar.setAttribute("class", "slow");
    svg.append(bar);
  });
  return svg;
}
