// Remarks of people on a release are added and taken back where they are read.

export function follow() {
  const form = document.getElementById("remark");
  const list = document.getElementById("remarks");
  if (!form || !list) return;
  const answer = document.getElementById("remark-answer");
  form.hidden = false;

  async function send(address, method, body) {
    const buttons = [...form.querySelectorAll("button"), ...list.querySelectorAll("button")];
    buttons.forEach((it) => (it.disabled = true));
    try {
      const response = await fetch(address, {
        method,
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(body),
      });
      const told = await response.json().catch(() => ({}));
      answer.textContent = told.sentence || (typeof told.detail === "string" ? told.detail : `It was not done (${response.status}).`);
      if (response.ok) list.innerHTML = told.parts.remarks;
      return response.ok;
    } catch {
      answer.textContent = "Airflow does not answer: nothing was changed.";
      return false;
    } finally {
      buttons.forEach((it) => (it.disabled = false));
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = form.elements.text;
    if (await send(form.action, "POST", { about: form.elements.about.value, text: text.value })) text.value = "";
    text.focus();
  });
  list.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-take-back]");
    if (button && (await send(`${form.action}/${button.dataset.takeBack}`, "DELETE", {}))) form.elements.text.focus();
  });
}
