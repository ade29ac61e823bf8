// Keeps a page up to date by its stream, and says so when it cannot.

import { heard, now, slept } from "./clock.js";
import { add, patch, remember } from "./morph.js";
import { hear, say } from "./voice.js";
import { words } from "./zone.js";

const LOST = 4200; // milliseconds without a word from the server
const PATIENCE = 20000; // and at most so many for a connection to come about
const AGAIN = [500, 1000, 2000, 3000, 5000]; // milliseconds until it is asked again
const TROUBLE = {
  loading: "Loading.",
  slow: "The history answers slowly",
  away: "The history does not answer",
};

const page = {
  source: null,
  heard: 0, // when the server was last heard, in this page's clock
  asOf: null, // the server's time at which what is shown was true
  complete: false,
  lost: null, // the server's time at which the connection was lost
  parts: [], // the ids of all parts
  tries: 0,
  timer: null,
  over: null, // why nothing comes any more: signed out, or no right
};

function address() {
  return location.pathname.replace(/\/$/, "") + "/stream" + location.search;
}

function open() {
  clearTimeout(page.timer);
  page.timer = null;
  page.source?.close();
  if (document.hidden) return;
  const source = (page.source = new EventSource(address()));
  for (const name of ["state", "beat", "gone"]) {
    source.addEventListener(name, (event) => source === page.source && took(name, JSON.parse(event.data)));
  }
  source.onerror = () => source === page.source && source.readyState === EventSource.CLOSED && refused();
}

function again() {
  if (page.timer) return;
  page.timer = setTimeout(open, AGAIN[Math.min(page.tries++, AGAIN.length - 1)]);
}

function took(name, told) {
  page.heard = performance.now();
  page.tries = 0;
  watch.patience = LOST;
  page.over = null;
  if (name === "gone") return gone(told.sentence);
  heard(told.at);
  page.asOf = told.as_of ?? page.asOf;
  if (page.lost !== null) {
    page.lost = null;
    say("The connection is back.");
  }
  if (name === "state") state(told);
  show(name === "beat" ? told.trouble : null);
}

function state({ parts, order, say: told }) {
  for (const [id, html] of Object.entries(parts)) patch(id, html) || add(id, html, order);
  for (const id of page.parts) if (!order.includes(id)) document.getElementById(id)?.remove();
  page.parts = order;
  document.dispatchEvent(new CustomEvent("releases:patched", { detail: Object.keys(parts) }));
  hear(told, !page.complete);
  page.complete = true;
}

/** What the page says of itself above its content. */
function show(trouble) {
  const place = document.getElementById("connection");
  document.getElementById("still")?.remove();
  let text = "";
  if (page.over) text = page.over;
  else if (page.lost !== null) text = `No connection since ${words(page.lost, "clock")}, shown is ${shown()}.`;
  else if (trouble) text = page.complete ? `${TROUBLE[trouble]}, shown is ${shown()}.` : `${TROUBLE[trouble].replace(/\.$/, "")}.`;
  place.hidden = !text;
  if (place.textContent !== text) place.textContent = text;
  document.documentElement.toggleAttribute("data-old", Boolean(text));
}

function shown() {
  return words(page.asOf ?? Number(document.body.dataset.now), "clock");
}

function gone(sentence) {
  page.source?.close();
  page.source = null;
  page.over = sentence;
  document.getElementById("content").replaceChildren();
  show(null);
  say(sentence, true);
}

/** The browser gives up when an answer is no stream. What it was is asked once more, so that people are told. */
async function refused() {
  let status = 0;
  try {
    const stop = new AbortController();
    const answer = await fetch(address(), { headers: { accept: "application/json" }, signal: stop.signal, cache: "no-store" });
    status = answer.status;
    stop.abort();
  } catch {
    // no connection: the watchdog says so
  }
  if (status === 403) return gone("You may not see this any more.");
  if (status === 401) {
    if (!page.over) say("Your login is over. Sign in to Airflow again.");
    page.over = `Your login is over: sign in to Airflow again. Shown is ${shown()}.`;
    show(null);
  }
  again();
}

/** Twice a second: nothing was heard for a while, or the page has slept. */
function watch() {
  const before = watch.at;
  watch.at = [Date.now(), performance.now()];
  const [walls, runs] = watch.at.map((it, index) => it - before[index]);
  if (walls > 5000 || runs > 5000 || Math.abs(walls - runs) > 1500) {
    slept();
    open();
  }
  if (document.hidden || page.over || performance.now() - page.heard < LOST) return;
  if (page.lost === null) {
    page.lost = now();
    say("The connection is lost.");
  }
  show(null);
  if (!page.source || performance.now() - watch.opened > watch.patience) {
    watch.opened = performance.now();
    watch.patience = Math.min(2 * watch.patience, PATIENCE);
    open(); // a connection may be dead without an end; one that a busy server has not taken yet gets more time each time
  }
}
watch.at = [Date.now(), performance.now()];
watch.opened = 0;
watch.patience = LOST;

function turned() {
  if (!document.hidden) {
    page.heard = performance.now() - LOST / 2;
    open();
  } else {
    page.source?.close(); // tabs that nobody sees leave their connection to others
    page.source = null;
  }
}

/** The ids of the parts that the page was written with: what the stream does not know any more, goes. */
function written(place) {
  return [...place.children].filter((it) => it.id && it.localName === place.dataset.parts).map((it) => it.id);
}

export function follow() {
  if (!("live" in document.body.dataset)) return;
  remember(document.body);
  page.parts = [...document.querySelectorAll("[data-parts]")].flatMap(written);
  page.heard = performance.now();
  open();
  setInterval(watch, 500);
  document.addEventListener("visibilitychange", turned);
  addEventListener("online", open);
  addEventListener("pageshow", (event) => event.persisted && open());
  addEventListener("pagehide", () => page.source?.close());
}
