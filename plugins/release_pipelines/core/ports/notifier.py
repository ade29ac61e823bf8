"""Who is told what a release came to."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.seams import Seam


class Notifier(Protocol):
    """Sends a notice."""


NOTIFIERS: Seam[Notifier] = Seam(
    "notifier", "release_pipelines.adapters.notifiers", ("log", "webhook", "slack", "mail")
)
