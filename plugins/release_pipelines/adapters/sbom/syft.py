"""Syft lists what an image, or a folder of source code, is made of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from release_pipelines.adapters.sbom.reading import NoSbom, components_in
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.component import Component
from release_pipelines.core.text import clean, last_lines, one_line

TIMEOUT = 300.0
"""Maximum run time of Syft, in seconds."""
MOST_BYTES = 100_000_000
"""Maximum length of a document, in bytes."""
SETTINGS = {
    "SYFT_CHECK_FOR_APP_UPDATE": "false",
    "SYFT_UNKNOWNS_EXECUTABLES_WITHOUT_PACKAGES": "false",  # of every command of a shell nobody knows more
    "SYFT_UNKNOWNS_UNEXPANDED_ARCHIVES": "false",
}
PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE")


class NotIdentified(ReleaseError):
    """Nothing, or not all, could be identified: that is no SBOM with nothing in it. The sentence has no full stop."""


@dataclass(frozen=True)
class Sbom:
    """The SBOM of one image, or of source code.

    :param cyclonedx: as CycloneDX JSON.
    :param spdx: as SPDX JSON.
    :param components: what stands in it.
    :param subject: digest of the image's manifest that was looked at; None: source code.
    :param unread: files that Syft could not read, with its reasons: what is in them nobody knows.
    """

    cyclonedx: str = field(repr=False)
    spdx: str = field(repr=False)
    components: list[Component] = field(repr=False)
    subject: str | None = None
    unread: list[str] = field(default_factory=list)


def missing() -> str | None:
    """Whether this worker has Syft."""
    if _path() is None:
        return "the command syft is missing on this worker (install release-pipelines[sbom])"
    return None


def of_image(layout: Path, name: str, digest: str) -> Sbom:
    """The SBOM of the one image in an OCI image layout.

    :param layout: the folder.
    :param name: the image's repository, as it is called in the SBOM.
    :param digest: digest of the image's manifest.
    :raises NotIdentified: when Syft could not look, found nothing that it knows, or looked at something else.
    """
    sbom = _made(f"oci-dir:{layout.absolute()}", name, digest, [])
    if sbom.subject != digest:
        raise NotIdentified(f"Syft looked at {sbom.subject or 'no image'}, and {digest} was asked for")
    return sbom


def of_source(folder: Path, name: str, version: str, exclude: tuple[str, ...] = ()) -> Sbom:
    """The SBOM of a folder of source code.

    :param exclude: paths that are not looked at, as globs that begin with ``./`` or ``**/``.
    :raises NotIdentified: when Syft could not look, or found nothing that it knows.
    """
    return _made(f"dir:{folder.absolute()}", name, version, [f"--exclude={it}" for it in exclude])


def _made(what: str, name: str, version: str, options: list[str]) -> Sbom:
    if lacking := missing():
        raise NotIdentified(lacking)
    with tempfile.TemporaryDirectory(prefix="sbom-") as made:
        folder = Path(made)
        files = {it: folder / f"{it}.json" for it in ("cyclonedx-json", "spdx-json", "syft-json")}
        outputs = [argument for it, path in files.items() for argument in ("--output", f"{it}={path}")]
        named = [f"--source-name={name}", f"--source-version={version}"]
        _run([str(_path()), "scan", what, *outputs, *named, *options], folder)
        texts = {it: _text(path) for it, path in files.items()}
    try:
        components = components_in(texts["cyclonedx-json"])
        own = json.loads(texts["syft-json"])
        subject = own["source"].get("metadata", {}).get("manifestDigest")
        unread = [_reason(it) for it in own.get("files") or [] if it.get("unknowns")]
    except (NoSbom, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotIdentified(f"what Syft wrote cannot be read: {one_line(error, 300)}") from None
    if not components:
        more = f"; it could not read {', '.join(unread[:3])}" if unread else ""
        raise NotIdentified(f"Syft identified no package in {name}{more}")
    _validate(texts["cyclonedx-json"])
    return Sbom(texts["cyclonedx-json"], texts["spdx-json"], components, subject, unread)


def _run(command: list[str], folder: Path) -> None:
    """Run Syft where no settings of the user's, or of the source code, can be found."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment = {**passed, **SETTINGS, "HOME": str(folder), "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, timeout=TIMEOUT, stdin=subprocess.DEVNULL, capture_output=True
        )
    except subprocess.TimeoutExpired:
        raise NotIdentified(f"Syft took longer than {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise NotIdentified(f"Syft could not be run: {one_line(error)}") from None
    if done.returncode:
        said = last_lines(done.stderr, 1) or ["nothing"]
        raise NotIdentified(f"Syft ended with exit code {done.returncode} and said: {one_line(said[-1])}")


def _text(path: Path) -> str:
    """A document that Syft wrote just now."""
    if not path.is_file():
        raise NotIdentified(f"Syft wrote no {path.stem}")
    if path.stat().st_size > MOST_BYTES:
        raise NotIdentified(f"Syft wrote more than {MOST_BYTES:,} bytes of {path.stem}")
    return path.read_text(encoding="utf-8")


def _reason(file: dict[str, Any]) -> str:
    path = str(file.get("location", {}).get("path", "a file")).lstrip("/")
    return clean(f"{path} ({one_line('; '.join(map(str, file['unknowns'])), 200)})", 400)


def _validate(text: str) -> None:
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonValidator

    try:
        version = SchemaVersion.from_version(str(json.loads(text)["specVersion"]))
        wrong = JsonValidator(version).validate_str(text)
    except (ValueError, KeyError, AssertionError, MissingOptionalDependencyException) as error:
        raise NotIdentified(f"Syft's CycloneDX document cannot be validated: {one_line(error, 300)}") from None
    if wrong is not None:
        raise NotIdentified(f"Syft's CycloneDX document does not keep to its schema: {one_line(wrong, 300)}")


def _path() -> str | None:
    """Where Syft is: on the PATH, or beside this Python."""
    return shutil.which("syft") or shutil.which("syft", path=str(Path(sys.executable).parent))
