// What every page has. Each concern stands for itself: one that cannot be loaded takes no other with it, and the page reads as the server wrote it.

for (const concern of ["./frame.js", "./zone.js", "./clock.js", "./live.js", "./overview.js", "./steer.js"]) {
  import(concern).then((module) => module.follow()).catch((error) => console.error(error));
}
