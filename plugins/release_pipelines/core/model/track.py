"""Tracks: the places beside each other where versions of an app run."""

from __future__ import annotations

from typing import Literal

Track = Literal["stable", "canary", "preview", "baseline"]

BESIDE: tuple[Track, ...] = ("canary", "preview", "baseline")
"""Tracks that exist only during a release."""
