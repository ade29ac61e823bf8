"""A train of three apps in two waves, in real Airflow: good, with a bad app, and with one that cannot go back (R21)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from sandbox import app_file, demo, engine, traffic
from sandbox.airflow import Client, read_anew
from sandbox.settings import DATABASE_PORT, REGISTRY, TRAINS, WEB, SandboxError
from tests.end_to_end.conftest import APP, QUICK, Run, Sandbox

TRAIN, DAG = "shops", "train_shops"
OTHERS = ("cart", "search")
CANARY = {"steps": [{"weight": 50, "hold": "8s"}], "bake": "2s", "retire_after": "1s"}
DIFFERS: dict[str, Any] = {**QUICK, "strategy": {"canary": CANARY}}
RATE = "30"
CLOSE = timedelta(seconds=2)
"""Apps of one wave may hold at nearly the same time."""


def built() -> set[str]:
    """The versions that are in the registry."""
    with urllib.request.urlopen(f"http://{REGISTRY}/v2/{APP}/tags/list", timeout=5) as answer:
        return set(json.load(answer)["tags"])


def publish(app: str) -> None:
    """Another app's images, which are the sample app's by another name."""
    images = engine.client(engine.url()).images
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        image = images.pull(f"{REGISTRY}/{APP}", tag=version)
        image.tag(f"{REGISTRY}/{app}", tag=version)
        images.push(f"{REGISTRY}/{app}", tag=version)


def forget(app: str) -> None:
    """The history knows nothing of an app any more, so that no version of it is known as good."""
    with psycopg2.connect(host="127.0.0.1", port=DATABASE_PORT, user="postgres", dbname="releases") as connection:
        connection.cursor().execute("DELETE FROM releases WHERE app = %s", (app,))


def serves(app: str) -> str:
    """The version that answers through the proxy."""
    request = urllib.request.Request(WEB, headers={"Host": f"{app}.localhost"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.headers["X-App-Version"])


def other(app: str) -> str:
    """The good version that an app does not serve."""
    return "1.1.0" if serves(app) == "1.0.0" else "1.0.0"


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The other apps are asked all the time, too; what was answered and lost stands in a file for each, from the first answer on."""
    script, folder = str(Path(traffic.__file__)), tmp_path_factory.mktemp("traffic")
    files = {app: folder / f"{app}.json" for app in OTHERS}
    started = [
        subprocess.Popen([sys.executable, script, WEB, f"{app}.localhost", RATE, str(file)])
        for app, file in files.items()
    ]
    yield files
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def apps(_sandbox: Sandbox, serving: Run, accounts: dict[str, Path]) -> None:
    """Two more apps from the sample app's images, which run 1.0.0, and a train of all three."""
    _sandbox.strategy("canary", DIFFERS)
    for version in ("1.1.0", "1.2.0"):
        if version not in built():
            _sandbox.release(version)
    for name in OTHERS:
        publish(name)
        app_file.write("canary", {**DIFFERS, "build": None}, name)
    TRAINS.mkdir(exist_ok=True)
    waves = [[APP, "cart"], ["search"]]
    (TRAINS / f"{TRAIN}.yaml").write_text(yaml.safe_dump({"name": TRAIN, "waves": waves, "bake": "4s"}))
    end = time.monotonic() + 120
    for dag in (DAG, *(f"release_{it}" for it in OTHERS)):
        while read_anew(Client("admin"), dag) is None:
            assert time.monotonic() < end, f"Airflow has no DAG {dag}"
            time.sleep(1)
    first = [Run(f"release_{it}", {"version": "1.0.0"}, "alice") for it in OTHERS]
    for run in first:
        run.until(lambda: run.asks)  # noqa: B023
        run.answer("bob", "Approve")
    for run in first:
        run.until(lambda: run.ended)  # noqa: B023
        assert run.state == "success", run.look()


@pytest.fixture
def steady(apps: None, accounts: dict[str, Path]) -> Iterator[None]:
    """No request of the other apps is lost."""
    before = {app: json.loads(file.read_text()) for app, file in accounts.items()}
    yield
    for app, file in accounts.items():
        after = json.loads(file.read_text())
        assert after["answered"] > before[app]["answered"]
        assert after["lost"] == before[app]["lost"], after["lost_requests"]


def depart(versions: dict[str, str]) -> Run:
    """A train that alice asks for and bob approves, once for all apps."""
    run = Run(DAG, {f"version_{app}": version for app, version in versions.items()}, "alice")
    run.until(lambda: run.asks)
    with pytest.raises(SandboxError, match="403"):
        run.answer("alice", "Approve")
    run.answer("bob", "Approve")
    return run


def began(entry: dict[str, Any]) -> str:
    """When a release began."""
    return str(entry["started"])


def report(run: Run) -> str:
    """The train's report."""
    return demo.said("report", f"{DAG}/{run.run_id}#0")


def test_a_good_train_releases_wave_after_wave(sandbox: Sandbox, steady: None) -> None:
    wanted = {app: other(app) for app in (APP, *OTHERS)}
    run = depart(wanted)
    run.until(lambda: run.ended, 600)
    assert run.state == "success", (run.note, run.look())
    assert {app: serves(app) for app in wanted} == wanted
    ended = {it["app"]: it["ended"] for app in wanted for it in demo.read_history(app)[:1]}
    begun = {it["app"]: it["started"] for app in wanted for it in demo.read_history(app)[:1]}
    assert begun["search"] >= max(ended[APP], ended["cart"])
    assert "Released train shops" in report(run)


def test_a_train_whose_last_app_is_bad_takes_the_others_back(sandbox: Sandbox, steady: None) -> None:
    before = {app: serves(app) for app in (APP, *OTHERS)}
    run = depart({APP: other(APP), "cart": other("cart"), "search": "1.2.0"})
    run.until(lambda: run.ended, 600)
    assert run.state == "failed"
    assert {app: serves(app) for app in before} == before
    said = report(run)
    assert "Compensated train shops" in said
    assert "search 1.2.0" in said
    ours = f"train_{TRAIN}.{run.run_id}"
    runs = {it["id"]: it for app in before for it in demo.read_history(app)}
    back = sorted((it for name, it in runs.items() if name.startswith(f"release_rollback/{ours}.")), key=began)
    assert {it["app"] for it in back} == {APP, "cart"}
    assert back[0]["ended"] <= back[1]["started"], "one after the other"
    held = [datetime.fromisoformat(runs[f"release_{it['app']}/{ours}#0"]["ended"]) for it in back]
    assert held[0] >= held[1] - CLOSE, "the last that held goes back first"


def test_an_app_that_cannot_go_back_is_told_and_the_others_go_back(sandbox: Sandbox, steady: None) -> None:
    before = {app: serves(app) for app in (APP, *OTHERS)}
    version = other("cart")
    forget("cart")
    run = depart({APP: other(APP), "cart": version, "search": "1.2.0"})
    run.until(lambda: run.ended, 600)
    assert run.state == "failed"
    said = report(run)
    assert "A person is needed: cart failed to go back" in said
    assert {app: serves(app) for app in before} == {**before, "cart": version}
