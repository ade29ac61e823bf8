// Commands of people. A button opens one dialog, which stands beside the parts of the page that change while it is looked at: an
// update of those neither closes it nor loses what was typed. It acts on what it names, and the server decides.

const NO_ANSWER = "There was no answer: whether the command arrived is not known. Look at the page, and try again.";
const WAIT_MS = 15000;

let about = null;
let sending = false;

const by = (id) => document.getElementById(id);

function named({ label, app, version, environment, step, weight }) {
  const where = environment ? ` in ${environment}` : "";
  const at = step ? `, at ${step}${weight ? ` (${weight} %)` : ""}` : "";
  return `${label}: ${app} ${version}${where}${at}`;
}

function open(button) {
  about = { ...button.dataset, opener: button.id };
  by("steer-title").textContent = named(about);
  by("steer-means").textContent = about.means;
  by("steer-hint").textContent = about.reason === "needed" ? "(needed)" : "(kept in the history)";
  const reason = by("steer-reason");
  reason.value = "";
  reason.required = about.reason === "needed";
  const versions = (about.versions || "").split(" ").filter(Boolean);
  const select = by("steer-which").querySelector("select");
  select.replaceChildren(...versions.map((it) => new Option(it, it)));
  by("steer-which").hidden = versions.length === 0;
  by("steer-refused").textContent = "";
  by("steer-give").textContent = about.label;
  by("steer-give").className = `steer-${about.word}`;
  by("steer").showModal();
}

function body() {
  const number = about.weight === "" || about.weight === undefined ? null : Number(about.weight);
  const seen = { release: about.release, step: about.step || null, weight: number, digest: about.digest || null };
  const told = { kind: about.word, reason: by("steer-reason").value, seen };
  if (about.word === "roll_back") told.version = by("steer-which").querySelector("select").value || null;
  return told;
}

export async function send(where, told) {
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), WAIT_MS);
  try {
    const answer = await fetch(where, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      credentials: "same-origin",
      body: JSON.stringify(told),
      signal: stop.signal,
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return { ok: true, sentence: said.sentence, link: said.link };
    return { ok: false, sentence: said.detail || `The server answers with status ${answer.status}.` };
  } catch {
    return { ok: false, sentence: NO_ANSWER };
  } finally {
    clearTimeout(late);
  }
}

async function give(event) {
  event.preventDefault();
  if (sending || !about) return;
  sending = true;
  const button = by("steer-give");
  button.setAttribute("aria-busy", "true");
  by("steer-refused").textContent = "";
  const { ok, sentence, link } = await send(about.where, body());
  sending = false;
  button.removeAttribute("aria-busy");
  if (!ok) {
    by("steer-refused").textContent = sentence;
    return;
  }
  by("steer").close();
  say(sentence, link);
}

function say(sentence, link) {
  const said = by("steer-said");
  said.textContent = sentence;
  if (!link) return;
  const to = document.createElement("a");
  to.href = link;
  to.dataset.airflowLink = "";
  to.textContent = "Its run";
  said.append(" ", to);
}

function closed() {
  by(about?.opener || "")?.focus();
  about = null;
}

export function follow() {
  const dialog = by("steer");
  if (!dialog) return;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-word]");
    if (button) open(button);
  });
  dialog.addEventListener("close", closed);
  dialog.querySelector("form").addEventListener("submit", give);
  by("steer-leave").addEventListener("click", () => dialog.close());
  document.documentElement.dataset.steers = ""; // from now on a click is heard
}
