"""The app file that Airflow sees: ``include/apps/storefront.yaml``, or a copy in which the demo changed something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sandbox.settings import APP, ROOT, STATE, SandboxError

SOURCE = ROOT / "include" / "apps" / f"{APP}.yaml"
FOLDER = STATE / "apps"

STRATEGIES: dict[str, dict[str, Any] | None] = {
    "canary": None,  # as the file has it
    "blue_green": {"bake": "20s", "retire_after": "5s"},
    "rolling": {"batches": [50], "hold": "6s", "bake": "20s"},
}
"""What the demo can show, and how: times are short, and long enough to meet the fault of the bad version."""
FIRST_TASK = {
    "canary": "production.canary_deploy",
    "blue_green": "production.preview_deploy",
    "rolling": "production.rolling_deploy",
}
"""By which task one sees that Airflow has read the file."""


def names() -> list[str]:
    """The sample app, and the apps beside it."""
    return sorted({APP, *(path.stem for path in FOLDER.glob("*.yaml"))})


def check(strategy: str) -> None:
    """:raises SandboxError: when there is no such strategy."""
    if strategy not in STRATEGIES:
        raise SandboxError(f"There is no strategy `{strategy}`: one of {', '.join(STRATEGIES)} is expected.")


def write(strategy: str, differs: dict[str, Any] | None = None, name: str = APP) -> Path:
    """Write the app's file with this strategy to ``.sandbox/apps/``.

    :param differs: keys of the file that are replaced after that; None leaves one out.
    :param name: the app's name; another one is another app that is made from the same source.
    :return: the folder, for ``RELEASE_PIPELINES_APPS``.
    """
    app = yaml.safe_load(SOURCE.read_text())
    if (chosen := STRATEGIES[strategy]) is not None:
        app["strategy"] = {strategy: chosen}
    app |= {**(differs or {}), "name": name}
    app = {key: value for key, value in app.items() if value is not None}
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = FOLDER / f"{name}.unfinished"
    unfinished.write_text(yaml.safe_dump(app, sort_keys=False))
    unfinished.replace(FOLDER / f"{name}.yaml")
    return FOLDER
