// A row that is new in the list comes in its place; the rows that somebody looks at stay where they are.

import { remember } from "./morph.js";

function add({ detail: { html } }) {
  const list = document.getElementById("overview");
  const box = document.createElement("template");
  box.innerHTML = html; // escaped by the server
  const row = box.content.firstElementChild;
  if (!list || row?.localName !== "tbody") return;
  remember(row);
  const before = row.dataset.before && document.getElementById(row.dataset.before);
  if (before) before.after(row);
  else list.tHead.after(row);
}

export function follow() {
  document.addEventListener("releases:unknown", add);
}
