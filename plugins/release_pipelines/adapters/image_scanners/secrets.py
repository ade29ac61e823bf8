"""Keys and tokens in the layers of an image, by gitleaks: also in those that a later layer hides or overwrites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from release_pipelines.adapters import tools
from release_pipelines.adapters.image_scanners._layers import unpack
from release_pipelines.adapters.image_scanners._report import ImageReportScanner, Looked
from release_pipelines.adapters.tools import NotLooked, gitleaks
from release_pipelines.adapters.tools.layout import document
from release_pipelines.core.model.finding import Finding
from release_pipelines.core.model.image import PlatformImage

MASK = "…"

ONLY = "Only a new build without it helps, and a new key."

PUBLIC = re.compile(r"\b(\w*(?:GPG_KEYS?|SHA\d+|SHA\d*SUM|DIGEST|FINGERPRINT))([=:]\s*)(?:\"[^\"]*\"|\S+)", re.I)
"""Variables of base images that look like keys, and are fingerprints and checksums."""


class Secrets(ImageReportScanner):
    """Looks at every file of every layer, and at the configuration with its instructions.

    What it found stands in no result: whoever reads that could use the key.
    """

    name = "secrets"
    program = gitleaks.PROGRAM
    hint = gitleaks.HINT
    advice = f"A later layer takes no key back. {ONLY}"

    def look(self, layout: Path, image: PlatformImage, folder: Path) -> Looked:
        """Its findings."""
        manifest = document(layout, image.digest)
        configuration = document(layout, manifest["config"]["digest"])
        layers = [it["digest"] for it in manifest["layers"]]
        files = folder / "files"
        names = unpack(layout, layers, files)
        (files / "configuration").mkdir(parents=True)
        (files / "configuration" / "lines.txt").write_text("\n".join(_lines(configuration)), errors="replace")
        report = folder / "report.json"
        (folder / "empty").mkdir()
        command = [gitleaks.PROGRAM, "--ignore-gitleaks-allow", *gitleaks.arguments(files, report)]
        done = tools.run(command, folder / "empty", self.limits, reads=[files], writes=[report])
        if done.code not in gitleaks.ACCEPTED:
            raise NotLooked(done.ended())
        found = gitleaks.looked(tools.document(report, done), done)
        keys = sorted({text for it in found for text in (it["Secret"], it["Match"]) if text}, key=len, reverse=True)
        instructions = _instructions(configuration, len(layers))
        findings = [_finding(it, files, layers, names, instructions, keys) for it in found]
        return Looked(findings, image.digest)


def _finding(
    it: Mapping[str, Any],
    files: Path,
    layers: Sequence[str],
    names: Mapping[Path, str],
    instructions: Sequence[str],
    keys: Sequence[str],
) -> Finding:
    path = Path(it["File"])
    place = path.relative_to(files).parts[0]
    layer = int(place) if place.isdigit() else None
    return Finding(
        kind="secret",
        severity="critical",
        rule=it["RuleID"],
        file=masked(names.get(path, "") if layer is not None else "the image's configuration", keys),
        line=it["StartLine"] if layer is not None else 0,
        text=f"{masked(it['Description'], keys).rstrip('.')}. {ONLY}",
        layer=layers[layer] if layer is not None else None,
        instruction=masked(instructions[layer], keys) if layer is not None and instructions[layer] else None,
    )


def masked(text: str, keys: Sequence[str]) -> str:
    """A text without keys: the longest go first, because one may be a part of another."""
    for key in keys:
        text = text.replace(key, MASK)
    return text


def _instructions(configuration: Mapping[str, Any], layers: int) -> list[str]:
    """What created each layer; empty where the image does not say."""
    said = [it.get("created_by") or "" for it in configuration.get("history") or [] if not it.get("empty_layer")]
    return said if len(said) == layers else [""] * layers


def _lines(configuration: Mapping[str, Any]) -> Iterator[str]:
    """What people have written into an image's configuration: variables, labels, commands and instructions."""
    settings = configuration.get("config") or {}
    lines = [
        *(settings.get("Env") or []),
        *(f"{name}={it}" for name, it in (settings.get("Labels") or {}).items()),
        " ".join(settings.get("Entrypoint") or []),
        " ".join(settings.get("Cmd") or []),
        *(f"{it.get('created_by') or ''} {it.get('comment') or ''}" for it in configuration.get("history") or []),
    ]
    for line in lines:
        yield PUBLIC.sub(r"\1\2", line)


IMAGE_SCANNER = Secrets()
