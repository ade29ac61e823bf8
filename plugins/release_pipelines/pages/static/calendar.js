// Days belong to a zone. A page that is asked for without one is asked for again in the zone that Airflow's own selector has.

const KEY = "timezone";

function chosen() {
  try {
    const kept = localStorage.getItem(KEY);
    if (!kept) return null;
    const name = kept.startsWith('"') ? JSON.parse(kept) : kept;
    new Intl.DateTimeFormat("en", { timeZone: name }); // throws where it is no zone
    return name;
  } catch {
    return null;
  }
}

export function follow() {
  const shown = document.querySelector("[data-zone]")?.dataset.zone;
  const address = new URL(location.href);
  if (!shown || address.searchParams.has("zone")) return; // so it is asked for once only
  const zone = chosen();
  if (!zone || zone === shown) return;
  address.searchParams.set("zone", zone);
  location.replace(address);
}
