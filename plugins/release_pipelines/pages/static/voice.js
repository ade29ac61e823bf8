// What a screen reader says: each thing once, one after the other.

const PAUSE = 1000; // milliseconds for which a sentence stands
const said = new Set();
const waiting = { said: [], called: [] };
const busy = { said: false, called: false };

/** Says a sentence.
 * @param {boolean} urgent it interrupts: something failed, or somebody's answer is needed
 */
export function say(text, urgent = false) {
  const place = urgent ? "called" : "said";
  waiting[place].push(text);
  if (!busy[place]) next(place);
}

/** Takes what a page has to say: at first it is known already, later each new sentence is said.
 * @param {{id: string, text: string, urgent: boolean}[]} told
 */
export function hear(told, first) {
  for (const { id, text, urgent } of told) {
    if (said.has(id)) continue;
    said.add(id);
    if (!first) say(text, urgent);
  }
}

function next(place) {
  const text = waiting[place].shift();
  const region = document.getElementById(place);
  busy[place] = text !== undefined;
  if (!region || text === undefined) {
    if (region) region.textContent = "";
    return;
  }
  region.textContent = text;
  setTimeout(next, PAUSE, place);
}
