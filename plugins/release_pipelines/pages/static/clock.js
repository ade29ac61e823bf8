// What is left and how old things are, by the server's clock: the browser's may be wrong, and jumps.

import { instant } from "./zone.js";

const BEATS = 10;
let offsets = []; // of the newest beats, in seconds: server's Unix time minus this page's clock
let offset = null;

/** Tells what the server's clock says, in seconds. A late answer says less than a quick one, so the largest of a few counts. */
export function heard(at, arrived = performance.now()) {
  offsets = [...offsets, at - arrived / 1000].slice(-BEATS);
  offset = Math.max(...offsets);
  tick();
}

/** Forgets what was heard: the page has slept, and its own clock may have stood still. */
export function slept() {
  offsets = [];
}

/** The server's Unix time in seconds. */
export function now() {
  return offset + performance.now() / 1000;
}

/** What is left, as `2:00 left` or `1:02:03 left`. */
export function left(seconds) {
  const whole = Math.max(0, Math.ceil(seconds - 0.05));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (it) => String(it).padStart(2, "0");
  return `${h ? `${h}:${two(m)}` : m}:${two(s)} left`;
}

/** An age, as `12 s ago`, `3 min ago`, `2 h 5 min ago` or `3 d ago`. */
export function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s ago`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ago`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min ago`;
  return `${Math.floor(whole / 86400)} d ago`;
}

function tick() {
  if (offset === null) return;
  for (const it of document.querySelectorAll("time[data-countdown], time[data-age]")) {
    const at = instant(it);
    if (at === null) continue;
    const text = "countdown" in it.dataset ? left(at - now()) : ago(now() - at);
    if (it.textContent !== text) it.textContent = text;
    it.dataset.written = "";
  }
}

function first() {
  const at = Number(document.body.dataset.now);
  const [opened] = performance.getEntriesByType("navigation");
  // The server wrote the page shortly before its first byte came; beats are better, and soon there.
  if (at && offset === null) offset = at - (opened?.responseStart ?? 0) / 1000;
}

export function follow() {
  first();
  tick();
  setInterval(tick, 500);
  document.addEventListener("releases:patched", tick);
}
