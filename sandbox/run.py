"""One release, followed over Airflow's REST API: every state that changes, the approval, the weights at the proxy."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.airflow import Client, run_path
from sandbox.services import Entry
from sandbox.settings import TRAFFIC_STATE, SandboxError

SHOWN = ("running", "deferred", "awaiting_input", "success", "failed", "upstream_failed", "up_for_retry")
WAIT_BEFORE_APPROVAL = 3.0
"""Seconds: an answer that comes sooner may cost the question another try."""

UNFINISHED = ("scheduled", "queued", "running", "deferred", "awaiting_input", "up_for_retry")
LONGEST = 900.0
"""Seconds until a release that nobody has to think about is given up."""


@dataclass
class Release:
    """What became of one release."""

    version: str
    run_id: str
    state: str = ""
    started: float = field(default_factory=time.time)
    ended: float = 0.0
    sent: int = 0
    lost: int = 0
    verdict: dict[str, Any] | None = None
    weight_zero_after: float | None = None
    last_answer_after: float | None = None


class Weights(threading.Thread):
    """Reads the weight beside stable from the proxy itself, every 20 ms, and keeps when it changed."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(daemon=True)
        self._entry = entry
        self.changes: list[tuple[float, int]] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until :meth:`stop`."""
        connection = http.client.HTTPConnection(self._entry.api.split("://")[-1], timeout=2)
        while not self._stopped.wait(0.02):
            try:
                connection.request("GET", "/api/http/services?per_page=1000")
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            if response.status == 200:
                self._note(weight_beside(json.loads(content), self._entry.prefix))

    def _note(self, weight: int | None) -> None:
        if weight is None:
            return
        if not self.changes or self.changes[-1][1] != weight:
            self.changes.append((time.time(), weight))

    def zero_after(self, moment: float) -> float | None:
        """Seconds from ``moment`` until the weight was 0."""
        return next((at - moment for at, weight in self.changes if weight == 0 and at >= moment), None)

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self.join(timeout=5)


def weight_beside(services: list[dict[str, Any]], prefix: str) -> int | None:
    """The share of canary and preview in percent, from Traefik's services; None when none of them is the app's.

    :param prefix: what the names of the app's tracks begin with; those of a Gateway API's route stand after ``-svc-``.
    """
    beside = tuple(f"{prefix}{track}" for track in ("canary", "preview"))
    for service in services:
        parts = service.get("weighted", {}).get("services") or []
        names = [part["name"].rpartition("-svc-")[2] for part in parts]
        # A preview's own address is a service without stable.
        if all(name.startswith(prefix) for name in names) and any(not name.startswith(beside) for name in names):
            shares = [(name.startswith(beside), part.get("weight", 1)) for name, part in zip(names, parts, strict=True)]
            return round(100 * sum(share for new, share in shares if new) / (sum(share for _, share in shares) or 1))
    return None


def traffic() -> dict[str, Any]:
    """The account of the steady traffic."""
    return json.loads(TRAFFIC_STATE.read_text())  # type: ignore[no-any-return]


def share_of(version: str, before: dict[str, Any], after: dict[str, Any]) -> int:
    """Percent of the answers between two accounts that came from this version."""
    own = (account["versions"].get(version, {}).get("answered", 0) for account in (after, before))
    return round(100 * (next(own) - next(own)) / max(1, after["answered"] - before["answered"]))


def follow(
    dag_id: str,
    version: str,
    say: Callable[[str], None],
    live: Callable[[str], None],
    approver: str | None = None,
    entry: Entry | None = None,
) -> Release:
    """Start a release as alice and follow it to its end.

    :param say: takes a line per change.
    :param live: takes what stands now, as often as it is looked at.
    :param approver: who approves it as soon as the form is open; None leaves that to a person.
    :param entry: where the traffic enters.
    """
    alice = Client("alice")
    begun = traffic()
    asked = {
        "logical_date": None,
        "conf": {"version": version},
        "dag_run_id": f"{version}__{time.strftime('%Y-%m-%dT%H:%M:%S')}",
    }
    run = alice.call("POST", f"/dags/{dag_id}/dagRuns", asked)
    release = Release(version, run["dag_run_id"])
    path, states, asked_at, account = run_path(dag_id, release.run_id), {}, 0.0, begun
    weights = Weights(entry or Entry())
    weights.start()
    try:
        while release.state not in ("success", "failed"):
            if approver and time.time() - release.started > LONGEST:
                unfinished = ", ".join(f"{name} ({state})" for name, state in states.items() if state in UNFINISHED)
                raise SandboxError(f"{version} has not ended after {LONGEST:.0f} s: {unfinished or 'nothing runs'}.")
            time.sleep(0.7)
            release.state = alice.call("GET", path)["state"]
            waiting = questions(alice, path)
            for task in alice.call("GET", f"{path}/taskInstances?limit=200")["task_instances"]:
                name, state = task["task_id"], "awaiting_input" if task["task_id"] in waiting else task["state"]
                if states.get(name) != state and state in SHOWN:
                    say(f"{time.time() - release.started:6.1f} s  {name}: {_words(state)}")
                states[name] = state
            asked_at = (asked_at or time.time()) if waiting else 0.0
            if waiting and approver and time.time() - asked_at >= WAIT_BEFORE_APPROVAL:
                _approve(dag_id, path, waiting[0], approver, say)
            before, account = account, traffic()
            share = share_of(version, before, account)
            live(f"{version}: {share} % of the answers, {account['sent']:,} requests sent, {account['lost']} lost")
    finally:
        weights.stop()
    release.ended = time.time()
    time.sleep(0.5)  # the account is written five times a second
    account = traffic()
    release.sent, release.lost = account["sent"] - begun["sent"], account["lost"] - begun["lost"]
    release.verdict = _failing_verdict(path, states)
    if release.verdict:
        decided = release.verdict["decided_at"]
        release.weight_zero_after = weights.zero_after(decided)
        seen = account["versions"].get(version)
        release.last_answer_after = seen["last_at"] - decided if seen else None
    return release


def questions(person: Client, path: str) -> list[str]:
    """The tasks of a run that wait for a person's answer."""
    asked = person.call("GET", f"{path}/hitlDetails?response_received=false")["hitl_details"]
    return [detail["task_instance"]["task_id"] for detail in asked]


def _words(state: str) -> str:
    words = {"deferred": "waiting, deferred", "awaiting_input": "waiting for a person"}
    return words.get(state, state.replace("_", " "))


def _approve(dag_id: str, path: str, task: str, approver: str, say: Callable[[str], None]) -> None:
    person = Client(approver)
    detail_path = f"{path}/taskInstances/{urllib.parse.quote(task)}/-1/hitlDetails"
    detail = person.call("GET", detail_path)
    say(f"          {detail['subject']}")
    lines = [line for line in (detail.get("body") or "").splitlines() if line.strip()]
    for line in lines[:14]:
        say(f"          | {line[:110]}")
    person.call("PATCH", detail_path, {"chosen_options": ["Approve"], "params_input": {}})
    say(f"          approved by {approver}")


def _failing_verdict(path: str, states: dict[str, str]) -> dict[str, Any] | None:
    """The verdict that a failed step left."""
    admin = Client("admin")
    for name in (name for name, state in states.items() if state == "failed"):
        try:
            task = f"{path}/taskInstances/{urllib.parse.quote(name)}"
            entry = admin.call("GET", f"{task}/xcomEntries/verdict?deserialize=true")
        except SandboxError:
            continue  # a task that judges nothing
        value = entry["value"]
        return json.loads(value) if isinstance(value, str) else value
    return None
