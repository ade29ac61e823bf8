"""What is wrong in a file."""

from __future__ import annotations

Mistake = tuple[str, str, str]
"""Where in the file, what stands there, and what is expected, in words."""
