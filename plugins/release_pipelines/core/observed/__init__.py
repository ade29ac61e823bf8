"""What runs now, as it was observed: from looks at a platform to what people are shown."""

from __future__ import annotations

from release_pipelines.core.observed.looking import Known, missed, seen
from release_pipelines.core.observed.showing import Shown, shown

__all__ = ["Known", "Shown", "missed", "seen", "shown"]
