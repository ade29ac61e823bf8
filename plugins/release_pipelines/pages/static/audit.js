// The audit trail is verified where it is read.

export function follow() {
  const button = document.getElementById("verify");
  if (!button) return;
  const answer = document.getElementById("verify-answer");
  button.hidden = false;
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    answer.textContent = "All rows are read …";
    try {
      const response = await fetch(button.dataset.address, {
        method: "POST",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: "{}",
      });
      const told = await response.json().catch(() => ({}));
      answer.textContent = told.sentence || (typeof told.detail === "string" ? told.detail : `It was not verified (${response.status}).`);
      if (response.ok) document.getElementById("verified").innerHTML = told.parts.verified;
    } catch {
      answer.textContent = "Airflow does not answer: it was not verified.";
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}
