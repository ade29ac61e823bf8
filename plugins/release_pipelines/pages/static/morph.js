// Makes an element look like new HTML without replacing what is the same: focus, typed text, open menus, selection and
// scroll positions stay where they are.

const KEPT = ["open", "value", "checked", "selected"]; // what the reader has opened, typed and chosen is the reader's

const from = new WeakMap(); // element → names of the attributes that the server gave it

/** Takes the page as it is now for what the server has sent. */
export function remember(root) {
  for (const it of [root, ...root.querySelectorAll("*")]) from.set(it, it.getAttributeNames());
}

/** Puts a part's HTML into the page. Unknown parts are left out. */
export function patch(id, html) {
  const old = document.getElementById(id);
  const box = parsed(html);
  const fresh = box.content.getElementById(id);
  if (!old || !fresh) return false;
  const selected = selection();
  const focused = document.activeElement;
  morph(old, fresh);
  refocus(focused);
  reselect(selected);
  return true;
}

/** Adds a part that the page does not have yet, such as a row: beside those of its kind, in their order.
 * @param {string[]} order the ids of all parts
 */
export function add(id, html, order) {
  const box = parsed(html);
  const fresh = box.content.getElementById(id);
  if (!fresh) return;
  const at = order.indexOf(id);
  const like = (name) => [document.getElementById(name)].find((it) => it?.localName === fresh.localName);
  const before = order.slice(0, at).reverse().map(like).find(Boolean);
  const after = order.slice(at + 1).map(like).find(Boolean);
  const place = before?.parentNode ?? after?.parentNode ?? document.querySelector(`[data-parts="${fresh.localName}"]`);
  const added = document.importNode(fresh, true);
  remember(added);
  place?.insertBefore(added, before ? before.nextSibling : (after ?? null));
}

/** A part's HTML, without what is for browsers that run no scripts. */
function parsed(html) {
  const box = document.createElement("template");
  box.innerHTML = html; // escaped by the server; scripts in it would not run
  for (const it of box.content.querySelectorAll("noscript")) it.remove();
  return box;
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) return retell(old, fresh.nodeValue);
  if (old.hasAttribute("data-keep")) return;
  const same = old.localName === "time" && old.dateTime === fresh.dateTime;
  attributes(old, fresh);
  if (same && old.hasAttribute("data-written")) return; // in the viewer's words, which still hold
  if (old.localName === "textarea") {
    if (old.value === old.defaultValue && old !== document.activeElement) old.value = fresh.defaultValue;
    return;
  }
  children(old, fresh);
}

function attributes(old, fresh) {
  for (const name of given(old)) {
    if (!fresh.hasAttribute(name) && !KEPT.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (KEPT.includes(name) && mine(old, name)) continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  from.set(old, fresh.getAttributeNames());
}

/** The attributes that an element has from the server: those that scripts of the page have added are not taken away. */
function given(element) {
  return from.get(element) ?? [];
}

/** Whether the reader has changed what this attribute says. */
function mine(element, name) {
  if (name === "open") return true;
  if (element === document.activeElement) return true;
  if (name === "value") return "defaultValue" in element && element.value !== element.defaultValue;
  if (name === "checked") return element.checked !== element.defaultChecked;
  return name === "selected" && element.selected !== element.defaultSelected;
}

function children(old, fresh) {
  const ordered = !old.hasAttribute("data-sorted"); // else the order is the reader's
  const named = new Map();
  for (const it of old.children) if (key(it)) named.set(key(it), it);
  const wanted = new Set([...fresh.children].map(key).filter(Boolean));
  let here = old.firstChild;
  for (const it of [...fresh.childNodes]) {
    const name = key(it);
    let twin = name ? named.get(name) : null;
    if (!name) {
      let next = here;
      while (next && (key(next) || !alike(next, it)) && !(key(next) && wanted.has(key(next)))) next = next.nextSibling;
      twin = next && !key(next) && alike(next, it) ? next : null;
    }
    if (!twin || !alike(twin, it)) {
      const added = document.importNode(it, true);
      if (added.nodeType === Node.ELEMENT_NODE) remember(added);
      old.insertBefore(added, ordered || !name ? here : null);
      continue;
    }
    if (ordered || !name) {
      while (here && here !== twin && !wanted.has(key(here))) here = drop(here);
      if (twin !== here) move(old, twin, here);
      here = twin.nextSibling;
    }
    morph(twin, it);
  }
  if (ordered) while (here) here = drop(here);
  else for (const it of [...old.children]) if (key(it) && !wanted.has(key(it))) it.remove();
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && key(one) === key(other);
}

function move(parent, node, before) {
  if (parent.moveBefore) parent.moveBefore(node, before);
  else parent.insertBefore(node, before);
}

/** Changes no more of a text than differs: a selection beside it stays. */
function retell(node, text) {
  const old = node.nodeValue;
  if (old === text) return;
  let start = 0;
  while (start < old.length && start < text.length && old[start] === text[start]) start++;
  let end = 0;
  while (end < old.length - start && end < text.length - start && old[old.length - 1 - end] === text[text.length - 1 - end]) end++;
  node.replaceData(start, old.length - start - end, text.slice(start, text.length - end));
}

function selection() {
  const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = getSelection();
  return isCollapsed ? null : [anchorNode, anchorOffset, focusNode, focusOffset];
}

function reselect(was) {
  if (!was) return;
  const [anchor, from, focus, to] = was;
  const now = getSelection();
  if (!anchor.isConnected || !focus.isConnected) return;
  if (now.anchorNode === anchor && now.anchorOffset === from && now.focusNode === focus && now.focusOffset === to) return;
  now.setBaseAndExtent(anchor, Math.min(from, length(anchor)), focus, Math.min(to, length(focus)));
}

function length(node) {
  return node.nodeType === Node.TEXT_NODE ? node.nodeValue.length : node.childNodes.length;
}

function refocus(element) {
  if (element && element !== document.activeElement && element.isConnected && element !== document.body) element.focus({ preventScroll: true });
}
