// What the nodes built, and which payload was proposed.
import { ago, byId, el, ether, fill, group, nameOf, took, when } from "./dom.js";

export function showProposals(state) {
  const all = [...state.proposals.values()].sort((a, b) => b.id - a.id);
  byId("no-proposals").hidden = all.length > 0;
  byId("proposals").hidden = all.length === 0;
  fill(byId("proposals"), all.map(show));
}

function show(p) {
  const gain = p.gain && !/^-|^0$/.test(p.gain) ? ` · ${ether(p.gain)} more than the primary's` : "";
  const best = Math.max(...p.offers.map((o) => Number(o.value || 0)), 1);
  return el("li", { class: "proposal", "data-lost": p.node === "" },
    el("div", { class: "top" },
      el("h3", null, p.node ? `Block ${group(p.number)}: ` : "No payload", p.node && el("b", null, ether(p.value)), p.node && [" by ", nameOf(p.node)]),
      el("span", { class: "muted" }, when(p.time), " · ", ago(p.time), gain)),
    el("ul", null, p.offers.map((o) => el("li", { "data-taken": o.taken, class: fateClass(o) },
      el("span", { class: "node" }, nameOf(o.node)),
      bar(o, best),
      el("span", { class: "value" }, o.value ? ether(o.value) : "–"),
      el("span", { class: "fate" }, o.fate),
      el("span", { class: "muted" }, o.value ? `${group(o.transactions)} txs · ${o.blobs} blobs · ${took(o.took)}` : took(o.took))))));
}

const fateClass = (o) => (/^out|^taken, though|wrong fee/.test(o.fate) ? "bad" : null);

function bar(o, best) {
  const meter = el("span", { class: "bar", "aria-hidden": "true" }, el("span"));
  meter.firstChild.style.width = (100 * Number(o.value || 0)) / best + "%";
  return meter;
}
