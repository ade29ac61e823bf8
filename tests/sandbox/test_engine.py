"""The sandbox's own container engine."""

from __future__ import annotations

from pathlib import Path

from sandbox.engine import mounted_below


def test_what_containers_left_mounted_is_found_the_innermost_first(tmp_path: Path) -> None:
    inside = [f"{tmp_path}/root/overlay", f"{tmp_path}/root/overlay/1a2b/merged", f"{tmp_path}/root/shm"]
    mounts = "".join(f"overlay {place} overlay rw,relatime 0 0\n" for place in ("/", f"{tmp_path}-other", *inside))
    found = mounted_below(tmp_path, mounts)
    assert sorted(found) == sorted(inside)
    assert found.index(inside[1]) < found.index(inside[0])
