// Times in the zone that is chosen in Airflow, each with that zone's name.

const CHOSEN = "timezone"; // Airflow's own key
const FORMATS = {
  moment: { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  day: { year: "numeric", month: "short", day: "numeric", weekday: "short" },
};
const made = new Map();
let seen = null;

/** The zone that is chosen in Airflow: UTC unless another one is. */
export function zone() {
  let chosen = null;
  try {
    chosen = localStorage.getItem(CHOSEN);
    chosen = chosen && chosen.startsWith('"') ? JSON.parse(chosen) : chosen;
  } catch {
    // no storage, or not Airflow's
  }
  if (chosen === "local") chosen = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return known(chosen) ? chosen : "UTC";
}

function known(name) {
  try {
    return Boolean(name && Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

/** A moment in words.
 * @param {number} at Unix time in seconds
 * @param {string} show "moment", "clock" (of today) or "day"
 * @param {string} where the zone; that of the viewer where none is given
 */
export function words(at, show = "moment", where = zone()) {
  const locale = document.documentElement.lang || "en";
  const key = `${locale} ${show} ${where}`;
  if (!made.has(key)) made.set(key, Intl.DateTimeFormat(locale, { ...(FORMATS[show] || FORMATS.moment), timeZone: where }));
  return `${made.get(key).format(at * 1000)} ${where}`;
}

/** Writes the times below an element anew, unless clock.js counts them. */
export function retime(root = document) {
  for (const it of root.querySelectorAll("time[datetime]:not([data-countdown], [data-age])")) {
    const at = instant(it);
    if (at === null) continue;
    const text = words(at, it.dataset.show, known(it.dataset.zone) ? it.dataset.zone : zone());
    if (it.textContent !== text) it.textContent = text;
    it.title = it.dateTime;
    it.dataset.written = "";
  }
}

/** The Unix time in seconds of an element `time`; null where it names a day or a month, which is of its own zone. */
export function instant(element) {
  const text = element.dateTime;
  const at = /T.*(Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : at / 1000;
}

function look() {
  if (zone() === seen) return;
  seen = zone();
  retime();
  document.dispatchEvent(new CustomEvent("releases:zone", { detail: seen }));
}

export function follow() {
  look();
  addEventListener("storage", (event) => (event.key === CHOSEN || event.key === null) && look());
  addEventListener("focus", look);
  document.addEventListener("releases:patched", () => retime());
}
