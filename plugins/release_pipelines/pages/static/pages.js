// What every page has. Each concern stands for itself: one that cannot be loaded takes no other with it, and the page reads as the server wrote it.

const concerns = ["frame", "zone", "clock", "live", "steer", "remarks", "calendar", "audit"];
for (const concern of concerns) {
  import(`./${concern}.js`).then((module) => module.follow()).catch((error) => console.error(error));
}
