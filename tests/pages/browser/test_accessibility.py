"""What a machine can tell of whether everybody can use the pages: axe-core finds nothing serious, in light and dark, wide and narrow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.train import TrainApp
from release_pipelines.features.report.incident_report import REPORT, incident_report
from release_pipelines.pages import calendar, overview
from release_pipelines.pages.files import Files
from tests.core.status import stories
from tests.pages import people
from tests.pages.conftest import PREFIX
from tests.pages.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

SERIOUS = ("serious", "critical")
HOUR = 3600.0
RUNNING, WAITING, ENDED, TRAIN = (
    f"release_{it}#0" for it in ("shop/manual__2", "mail/manual__1", "cart/manual__1", "trains/x")
)
TRAIN = "train_weekly/manual__1#0"
PAGES = {
    "overview": "/",
    "nothing fits": "/?q=nothing",
    "running": "/runs/release_shop/manual__2",
    "waiting": "/runs/release_mail/manual__1",
    "rolled back": "/runs/release_cart/manual__1",
    "train": "/runs/train_weekly/manual__1",
    "not begun": "/runs/release_shop/manual__9",
    "report": "/runs/release_cart/manual__1/report",
    "month": "/calendar",
    "week": "/calendar?view=week",
    "delivery": "/delivery",
    "compare": "/compare?right=release_shop%2Fmanual__2%230",
    "audit": "/audit",
}


@pytest.fixture
def axe() -> str:
    """The source of axe-core, as its package carries it."""
    package = pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text()
