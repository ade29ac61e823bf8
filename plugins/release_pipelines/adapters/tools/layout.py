"""The image in an OCI image layout: its manifest, its configuration, its layers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from release_pipelines.adapters.tools import NotLooked

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def blob(layout: Path, digest: str) -> Path:
    """Where a blob lies.

    :raises NotLooked: when it is not there.
    """
    if not DIGEST.fullmatch(digest):
        raise NotLooked(f"it cannot read what a digest like {digest[:80]} stands for")
    path = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    if not path.is_file():
        raise NotLooked(f"{digest} is missing in what was fetched of the image")
    return path


def document(layout: Path, digest: str) -> Any:
    """A blob that is JSON.

    :raises NotLooked: when it is not there, or none.
    """
    try:
        return json.loads(blob(layout, digest).read_bytes())
    except (ValueError, RecursionError) as error:
        raise NotLooked(f"{digest} of the image is no JSON") from error
