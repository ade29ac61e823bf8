"""What the operators of a build share."""

from __future__ import annotations

from datetime import timedelta

TRY_AGAIN = {"retries": 3, "retry_delay": timedelta(seconds=10)}
"""For what depends on services that may be away for a moment. What is refused fails at once all the same."""
