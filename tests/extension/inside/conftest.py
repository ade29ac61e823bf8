"""A release of an app that uses all that ``acme_release`` adds; collected only by the process that has it on its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import conftest as pipeline
from tests.pipeline.conftest import Releases, _database, more_of_production, outside, releases  # noqa: F401 - fixtures
from tests.repositories import commit

collect_ignore_glob = [] if os.environ.get("ACME_RELEASE_INSTALLED") else ["test_*.py"]

NEW_ARTIFACT = {"app": "shop", "version": "1.1.0", "digest": pipeline.NEW}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "board.txt"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, board: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The app and its environments name what the package adds; where an image would be built, it is there already."""
    source, queue = tmp_path / "source", tmp_path / "queue.txt"
    source.mkdir()
    commit(source, {"Dockerfile": "FROM scratch\n", "app.py": "# TODO: prices\n"}, "v1.1.0")
    queue.write_text("3")
    notify = f"notify: [{{kind: log}}, {{kind: board, options: {{file: {board}}}}}]\n"
    base = pipeline.BASE.replace("router: {kind: traefik}", "router: {kind: edge}") + notify
    metric = f"{{name: jobs, source: queue_depth, limit: 10, options: {{file: {queue}}}}}"
    app = pipeline.APP.replace("limit: 1%}]", f"limit: 1%}}, {metric}]")
    app += f"build: {{repository: {source}}}\nscan: {{scanners: [todo], block_on: high}}\n"
    app += "change_ticket: {queue: CHG}\n" + getattr(request, "param", "")
    monkeypatch.setattr(pipeline, "BASE", base)
    monkeypatch.setattr(pipeline, "APP", app)


@pytest.fixture
def built(outside: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811 - the fixture
    from release_pipelines.operators import ImageBuildOperator, ImagePushOperator

    image = {"image": f"{outside.url.removeprefix('http://')}/shop"}
    monkeypatch.setattr(ImageBuildOperator, "work", lambda self, context: {**image, "tag": self.version, "id": "x"})
    monkeypatch.setattr(ImagePushOperator, "work", lambda self, context: {**NEW_ARTIFACT, **image})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What approvers are shown."""
    from release_pipelines.operators import ReleaseApprovalOperator

    forms: list[str] = []
    really = ReleaseApprovalOperator.form

    def form(self: Any, *given: Any) -> tuple[str, str]:
        made = really(self, *given)
        forms.append(made[1])
        return made

    monkeypatch.setattr(ReleaseApprovalOperator, "form", form)
    return forms
