// The page is a frame of Airflow's page: it has its colours, and links to Airflow move the page around it.

const around = (() => {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null; // a page of somebody else
  }
})();

function paint() {
  const dark = around
    ? around.document.documentElement.classList.contains("dark")
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", dark);
  // The frame is transparent; what measures contrast sees only the page itself.
  const behind = around ? [around.document.body, around.document.documentElement].map((it) => around.getComputedStyle(it).backgroundColor) : [];
  document.documentElement.style.backgroundColor = behind.find((it) => it !== "rgba(0, 0, 0, 0)") ?? "";
}

function leave(event) {
  const link = event.target.closest("a[data-airflow-link]");
  if (!link || !around || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  around.history.pushState({}, "", link.href);
  around.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
}

export function follow() {
  paint();
  if (around) new MutationObserver(paint).observe(around.document.documentElement, { attributes: true, attributeFilter: ["class"] });
  document.addEventListener("click", leave);
}
