// The strip of the last blocks, newest first, and the one that is looked at.
import { age, byId, el, fill, fromSix, group, inSeconds, nameOf, setText, took, when } from "./dom.js";
import { isWell } from "./nodes.js";

const columns = new Map(); // by id: the element, and what it shows
let chosen = null; // id; null follows the newest
let last = null; // the state that is shown
const narrow = matchMedia("(max-width: 44rem)"); // as in style.css
narrow.addEventListener("change", () => last && showBlocks(last));
let unfolded = false; // all nodes have a row, however many

export function showBlocks(state) {
  last = state;
  const rows = rowsOf(state), order = rows.names.join("\n") + rows.rest.length;
  const strip = byId("blocks");
  const ids = [...state.blocks.keys()].sort((a, b) => b - a);
  byId("no-blocks").hidden = ids.length > 0;
  byId("strip").hidden = ids.length === 0;
  byId("would").hidden = ![...state.blocks.values()].some(differs);
  fill(byId("names"), el("li", { class: "head" }), rows.names.map((name) => el("li", { title: name }, nameOf(name, narrow.matches ? 8 : 15))),
    rows.rest.length > 0 && el("li", { class: "rest" }, `${rows.rest.length} more`));
  const many = rows.rest.length > 0 || (unfolded && state.order.length >= fromSix);
  byId("rows").hidden = !many || ids.length === 0;
  setText(byId("rows").firstElementChild, unfolded ? "Fold those that agree" : `Show all ${state.order.length} nodes`);
  for (const [id, c] of columns) {
    if (state.blocks.has(id)) continue;
    c.element.remove();
    columns.delete(id);
  }
  let after = null;
  for (const id of ids) {
    const block = state.blocks.get(id);
    let c = columns.get(id);
    if (!c) {
      c = { element: el("li", null, el("button", { type: "button", onclick: () => choose(id) })) };
      columns.set(id, c);
    }
    if (c.block !== block || c.order !== order) {
      c.block = block;
      c.order = order;
      showColumn(c, block, rows);
    }
    if (c.element.parentNode !== strip || c.element.previousElementSibling !== after) {
      after ? after.after(c.element) : strip.prepend(c.element);
    }
    after = c.element;
  }
  showChosen();
}

byId("rows").firstElementChild.addEventListener("click", () => {
  unfolded = !unfolded;
  showBlocks(last);
});

// rowsOf are the nodes that have a row; where there are many, those that said anything but VALID, or that something is
// the matter with. The rest share one.
function rowsOf(state) {
  if (state.order.length < fromSix || unfolded) return { names: state.order, rest: [] };
  const odd = new Set();
  for (const n of state.nodes.values()) if (!isWell(n)) odd.add(n.name);
  for (const b of state.blocks.values()) {
    for (const v of b.votes) if (!["VALID", "pending"].includes(vote(v)[0])) odd.add(v.node);
  }
  return { names: state.order.filter((name) => odd.has(name)), rest: state.order.filter((name) => !odd.has(name)) };
}

// The strip is one stop of the tab key; arrows go from block to block.
byId("blocks").addEventListener("keydown", (event) => {
  const here = event.target.closest("li");
  const to = { ArrowLeft: here?.previousElementSibling, ArrowRight: here?.nextElementSibling,
    Home: byId("blocks").firstElementChild, End: byId("blocks").lastElementChild }[event.key];
  if (!to) return;
  event.preventDefault();
  to.firstElementChild.focus();
});
byId("blocks").addEventListener("focusin", (event) => stopAt(event.target));

// stopAt makes a block's button the one that the tab key finds.
function stopAt(button) {
  for (const c of columns.values()) c.element.firstElementChild.tabIndex = c.element.firstElementChild === button ? 0 : -1;
}

function choose(id) {
  chosen = chosen === id ? null : id;
  showChosen();
}

export function chooseBlock(id) {
  if (!columns.has(id)) return;
  chosen = id;
  showChosen();
  columns.get(id).element.scrollIntoView({ block: "nearest", inline: "center" });
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen !== null) choose(chosen);
});

function showColumn(c, b, rows) {
  c.element.className = b.dispute || b.late_objection ? "disputed" : "";
  c.element.dataset.block = b.number;
  const button = c.element.firstElementChild;
  const usual = median(b.votes.filter((v) => v.vote).map((v) => v.took));
  fill(button,
    el("span", { class: "head", "data-vote": heard(b) || "pending" },
      el("span", { class: "number" }, group(b.number)),
      el("code", null, (b.dispute || b.late_objection ? "⚑ " : "") + b.hash.slice(2, 8)),
      el("b", null, heard(b) || "…"),
      differs(b) ? el("span", { class: "would", title: `it would have heard ${b.verdict}` }, "≠ " + b.verdict)
        : el("span", { class: "time" }, b.verdict ? took(b.took) : "\u00a0"),
      isKnown(b) && el("span", { class: "slot", title: inSlot(b) },
        isOld(b) ? inSlot(b) : b.verdict && !b.shadow ? "at " + inSeconds(b.asked + b.took) : "\u00a0")),
    rows.names.map((name) => cell(b.votes.find((v) => v.node === name), usual)),
    rows.rest.length > 0 && restCell(b, rows.rest));
  button.setAttribute("aria-label", `Block ${b.number}: ${heard(b) || "being judged"}${differs(b) ? `, would have heard ${b.verdict}` : ""}${b.dispute ? ", dispute" : ""}${b.late_objection ? ", late objection" : ""}${dissent(b)}`);
}

// heard is what the consensus client heard; "" while it has no answer.
const heard = (b) => (b.shadow ? b.did ?? "" : b.verdict);

// differs tells that the consensus client would have heard something else, were one node not to answer alone.
const differs = (b) => b.shadow && heard(b) !== "" && b.verdict !== "" && b.did !== b.verdict;

// dissent says who said anything but VALID.
function dissent(b) {
  const others = b.votes.filter((v) => !["VALID", "pending"].includes(vote(v)[0]));
  return others.length > 0 ? ". " + others.map((v) => `${v.node}: ${v.vote === "INVALID" ? "INVALID" : v.status}`).join(", ") : "";
}

// restCell counts the VALIDs of the nodes that have no row of their own.
function restCell(b, rest) {
  const valid = b.votes.filter((v) => rest.includes(v.node) && vote(v)[0] === "VALID").length;
  return valid > 0 ? el("span", { class: "cell", "data-vote": "VALID" }, el("b", null, "✓"), ` × ${valid}`) : el("span", { class: "cell" });
}

// cell is a node's vote on a block, and its time.
function cell(v, usual) {
  if (!v) return el("span", { class: "cell" });
  const [kind, sign] = vote(v);
  const slow = v.took >= 2_000_000 || (v.took >= 100_000 && v.took > 4 * usual);
  return el("span", { class: "cell", "data-vote": kind, "data-pace": slow ? "slow" : null },
    el("b", null, sign), v.took > 0 ? " " + took(v.took) : "");
}

// vote is what a node's answer counts as, and its sign.
export function vote(v) {
  if (v.vote === "INVALID" || v.status === "INVALID") return ["INVALID", "✕"];
  if (v.status === "") return ["pending", "·"];
  if (v.status === "dead") return ["dead", "–"];
  if (v.status === "VALID" || v.vote === "VALID") return ["VALID", "✓"];
  if (v.status === "SYNCING" || v.status === "ACCEPTED") return ["SYNCING", "↻"];
  return ["none", "!"];
}

function median(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function showChosen() {
  if (!last || last.blocks.size === 0) return;
  if (!last.blocks.has(chosen)) chosen = null;
  const id = chosen ?? Math.max(...last.blocks.keys());
  for (const [key, c] of columns) {
    const is = key === id;
    c.element.firstElementChild.setAttribute("aria-pressed", String(chosen !== null && is));
    c.element.toggleAttribute("data-shown", is);
  }
  if (![...columns.values()].some((c) => c.element.contains(document.activeElement))) stopAt(columns.get(id).element.firstElementChild);
  const b = last.blocks.get(id);
  const box = byId("block");
  box.hidden = false;
  fill(box,
    el("h3", null, `Block ${group(b.number)} `, el("code", null, b.hash)),
    el("p", { class: "muted" }, when(b.time), ` · ${b.method} · `, told(b), chosen === null ? " · the newest" : ""),
    voteTable(b.votes));
}

// told says what the consensus client heard, and when.
export function told(b) {
  const slot = isKnown(b) ? " · " + inSlot(b) : "";
  if (!b.verdict) return (b.method.startsWith("engine_getPayload") ? `objected ${b.dispute ? "before" : "after"} it ${b.shadow ? "would have been" : "was"} proposed` : "being judged") + slot;
  let text = `the consensus client heard ${b.verdict} after ${took(b.took)}`;
  if (b.shadow) {
    text = heard(b) ? `the consensus client heard ${heard(b)}` : "the consensus client has no answer yet";
    text += (differs(b) || !heard(b) ? ` and would have heard ${b.verdict}` : ", as it would have heard of us") + ` after ${took(b.took)}`;
  }
  if (b.dispute) text += ", in a dispute";
  if (b.late_objection) text += ", and a node objected later";
  return text + slot;
}

// When in its slot the consensus client asked about a block is known where its payload was seen, and our clock is right.
const isKnown = (b) => b.asked !== undefined;

// isOld tells that the consensus client is syncing: nobody attests to a block that is two slots old.
const isOld = (b) => b.asked >= 24_000_000;

// inSlot says when in its slot a block was asked about and answered, or how old it was by then.
function inSlot(b) {
  if (isOld(b)) return age(Math.floor(b.asked / 1e6)) + " old";
  return `asked at ${inSeconds(b.asked)}${b.verdict && !b.shadow ? `, answered at ${inSeconds(b.asked + b.took)}` : ""} in the slot`;
}

// voteTable has what each node said; where there are many, those that didn't say VALID first, and the rest folded.
export function voteTable(votes) {
  const agrees = (v) => vote(v)[0] === "VALID";
  if (votes.length < fromSix) return table(votes, "What each node said");
  const rest = votes.filter(agrees), others = votes.filter((v) => !agrees(v));
  return el("div", null,
    others.length > 0 && table(others, "Who didn't say VALID"),
    rest.length > 0 && el("details", { class: "rest" },
      el("summary", null, `${rest.length} ${others.length > 0 ? "others " : ""}say VALID`), table(rest, "Who said VALID")));
}

function table(votes, label) {
  return el("div", { class: "table", tabindex: "0", role: "group", "aria-label": label }, el("table", { class: "votes" },
    el("thead", null, el("tr", null, ["node", "says", "after", "reason"].map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", null, votes.map((v) => {
      const [kind, sign] = vote(v);
      return el("tr", { "data-vote": kind },
        el("th", { scope: "row" }, nameOf(v.node)),
        el("td", { class: "said" }, el("b", { "aria-hidden": "true" }, sign), " " + (v.status || "nothing yet"), v.vote !== v.status && v.vote && `, counts as ${v.vote}`),
        el("td", { class: "after" }, v.took > 0 ? took(v.took) : "–"),
        el("td", { class: "why" }, v.reason || ""));
    }))));
}
