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
  return el("li", { class: "proposal", "data-lost": (p.shadow ? !p.did : p.node === "") },
    el("div", { class: "top" },
      el("h3", null, p.shadow ? shadowTitle(p) : title(p)),
      el("span", { class: "muted" }, when(p.time), " · ", ago(p.time), gain)),
    el("ul", null, p.offers.map((o) => el("li", { "data-taken": o.taken, class: fateClass(o) },
      el("span", { class: "node" }, nameOf(o.node)),
      bar(o, best),
      el("span", { class: "value" }, o.value ? ether(o.value) : "–"),
      el("span", { class: "fate" }, fate(p, o)),
      el("span", { class: "muted" }, o.value ? `${group(o.transactions)} txs · ${o.blobs} blobs · ${took(o.took)}` : took(o.took))))));
}

function title(p) {
  if (!p.node) return "No payload";
  return [`Block ${group(p.number)}: `, el("b", null, ether(p.value)), " by ", nameOf(p.node)];
}

// shadowTitle tells whose payload the consensus client got in shadow mode, and whose it would have got.
function shadowTitle(p) {
  const got = p.did ? ["the consensus client got the payload of ", nameOf(p.did)] : "the consensus client got no payload";
  const own = p.node && p.node === p.did;
  const would = own ? ", as it would have of us" : p.node ? [", and would have got ", el("b", null, ether(p.value)), " by ", nameOf(p.node)] : ", nor would it have";
  return [p.number ? `Block ${group(p.number)}: ` : "", got, would];
}

// fate is what became of an offer: in shadow mode one node's was proposed, whatever we would have taken.
function fate(p, o) {
  if (!p.shadow) return o.fate;
  const would = o.fate.replace(/^taken/, "would have been taken");
  return o.node === p.did ? "proposed; " + would : would;
}

const fateClass = (o) => (/^out|^taken, though|wrong fee/.test(o.fate) ? "bad" : null);

function bar(o, best) {
  const meter = el("span", { class: "bar", "aria-hidden": "true" }, el("span"));
  meter.firstChild.style.width = (100 * Number(o.value || 0)) / best + "%";
  return meter;
}
