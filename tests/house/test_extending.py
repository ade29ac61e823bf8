"""What docs/extending.md shows really runs: its package is written down, and is installed in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 is needed")

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text()

INSIDE = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace

from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import METRIC_SOURCES
from release_pipelines.core.ports.platform import PLATFORMS, Connections
from release_pipelines.core.ports.scanner import SCANNERS
from release_pipelines.core.ports.strategy import STRATEGIES
from release_pipelines.features.notify.operators import notifier
from release_pipelines.pipeline.plan import ReleasePlan
from release_pipelines.spec.release import load_release
from release_pipelines.spec.schema import schemas
from release_pipelines.spec.stages import stages
from release_pipelines.spec.target import target

folder = Path(sys.argv[1])
for name in ("todo", "board", "queue_depth", "edge", "strict", "half", "acme_host", "cdn_purge", "change_ticket"):
    assert f'"{name}"' in "".join(schemas().values()), name

(folder / "app.py").write_text("# TODO")
assert SCANNERS.get("todo").scan(folder, "Dockerfile").sentence == "todo found 1."

spec = load_release(folder / "shop.yaml", folder, folder)
plan = ReleasePlan(spec)
assert "before_production.open_ticket" in [it.id for it in plan.tasks]
assert "Change ticket" in plan.evidence()
assert "scan.todo" in [it.id for it in plan.tasks]
assert "production.purge" in [it.id for it in plan.tasks]
assert [it.name for it in stages(spec)] == ["half", "bake"]

[receiver] = spec.production.part("notify", list)
notice = Notice(outcome="released", sentence="", app="shop", version="1.1.0", environment="production", release="r")
notifier(receiver, notice).notify({})
assert (folder / "board.txt").read_text() == "shop 1.1.0 in production: released\\n"

errors, jobs = spec.analysis.metrics
measuring = SimpleNamespace(metric=jobs)
assert asyncio.run(METRIC_SOURCES.get("queue_depth").samples(measuring, [1.0]))[0].value == 3
samples = [Sample(metric="errors", at=1, bad=1, total=9)]
assert JUDGES.get("strict").verdicts(spec.analysis, samples, {}, 50)[0].verdict.judgement == "fail"

host = Connection(kind="container_host", host="unix:///x", extra={"state_url": "redis://127.0.0.1"})
connections = Connections(platform=host, registry=host, kubernetes_client=lambda: None)
staging = target(spec, "staging")
assert staging.platform == "acme_host"
assert type(PLATFORMS.get("acme_host").open(staging, connections)).__name__ == "AcmeHost"
"""

BASE = """
connections: {platform: host, engine: host, registry: registry, prometheus: prometheus}
address: {url: "http://127.0.0.1:8000", host: "{app}.example"}
approvers: [bob]
notify: [{kind: board, options: {file: FOLDER/board.txt}}]
"""
FILES = {
    "base.yaml": BASE,
    "staging.yaml": "name: staging\nplatform: acme_host\n",
    "production.yaml": "name: production\nplatform: kubernetes\nrouter: {kind: edge}\n",
    "queue.txt": "3",
    "shop.yaml": """
name: shop
build: {repository: FOLDER}
scan: {scanners: [todo]}
change_ticket: {queue: CHG}
stages: [{name: purge, after: production.half, cdn_purge: {zone: shop}}]
strategy: {half: {hold: 5m}}
analysis:
  judge: strict
  metrics:
    - {name: errors, source: errors, limit: 1%}
    - {name: jobs, source: queue_depth, limit: 10, options: {file: FOLDER/queue.txt}}
""",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package of the document is installed."""
    site = tmp_path_factory.mktemp("site")
    for code in re.findall(r"```python\n(# \S+\.py\n.*?)```", TEXT, re.S):
        path = site / code.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    [toml] = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
    groups = tomllib.loads(toml)["project"]["entry-points"]
    lines = [
        line for name, entries in groups.items() for line in (f"[{name}]", *(f"{k} = {v}" for k, v in entries.items()))
    ]
    (site / "acme_release-1.0.dist-info").mkdir()
    (site / "acme_release-1.0.dist-info" / "entry_points.txt").write_text("\n".join(lines))
    (site / "acme_release-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-release\nVersion: 1.0\n"
    )
    return site


def run(site: Path, *arguments: str | Path) -> None:
    """Run Python with that package."""
    path = os.pathsep.join(map(str, [site, ROOT / "plugins", ROOT]))
    done = subprocess.run(
        [sys.executable, *arguments], cwd=site, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_all_that_is_shown_is_used_by_a_release(site: Path, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("FOLDER", str(tmp_path)))
    run(site, "-c", INSIDE, tmp_path)


def test_the_operators_are_operators(site: Path, tmp_path: Path) -> None:
    code = "from acme_release.operators import CloseTicketOperator as Close; Close(task_id='close', release='')"
    code += "; from acme_release.purging import PurgeStageOperator as Purge"
    code += "; result = Purge(task_id='purge', options={}).run({}, {'zone': 'shop'}, 60); assert result.values == {'pages': 4}"
    run(site, "-c", code)


def test_the_router_keeps_the_contract(site: Path) -> None:
    run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_edge.py")
