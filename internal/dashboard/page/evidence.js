// The files of evidence, and how one gets them. The token is never kept but in its field.
import { byId, el, fill, group, shortHash, when } from "./dom.js";

byId("ask-token").addEventListener("submit", (event) => event.preventDefault());

let asking = false, again = false;

// showEvidence lists the files.
export async function showEvidence() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    const response = await fetch("evidence", { headers: { Accept: "application/json" } });
    const list = (response.ok && await response.json()) || [];
    byId("evidence").hidden = list.length === 0;
    fill(byId("files"), list.toReversed().map(show));
    if (list.some((f) => f.size === 0)) setTimeout(showEvidence, 3000); // it is being written
  } catch { /* the connection is lost: the page says so */ }
  asking = false;
  if (again) { again = false; showEvidence(); }
}

function show(f) {
  return el("li", null,
    el("span", { class: "when" }, f.time ? when(f.time) : ""),
    el("span", { class: "kind" }, f.damaged ? "damaged: " + f.damaged : (f.kind ?? "")),
    el("span", null, f.number ? `block ${group(f.number)} ` : "", el("code", { title: f.block_hash }, shortHash(f.block_hash ?? ""))),
    el("span", { class: "muted" }, f.size ? group(Math.ceil(f.size / 1024)) + " KiB" : ""),
    el("button", { type: "button", "aria-label": "Download " + f.file, onclick: () => download(f.file) }, "Download"));
}

async function download(file) {
  const problem = byId("evidence-error");
  problem.textContent = "";
  const token = byId("token").value.trim();
  try {
    const response = await fetch("evidence/" + encodeURIComponent(file), { headers: token ? { Authorization: "Bearer " + token } : {} });
    if (!response.ok) {
      const reason = await response.json().then((body) => body.error, () => "HTTP " + response.status);
      problem.textContent = response.status === 401 && !token ? "Type the admin token, and download again." : `${file}: ${reason}`;
      if (response.status === 401) byId("token").focus();
      return;
    }
    const link = el("a", { href: URL.createObjectURL(await response.blob()), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch {
    problem.textContent = file + ": the connection was lost";
  }
}
