"""Keys in layers, found by the real gitleaks; and what must not show them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from release_pipelines.adapters.image_scanners import _layers
from release_pipelines.adapters.image_scanners._layers import unpack
from release_pipelines.adapters.image_scanners.secrets import Secrets, masked
from release_pipelines.adapters.tools import NotLooked
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.image import PlatformImage
from tests.images import Layout, archive
from tests.tools import needs

TOKEN = "npm_" + "a8Kd03Jf9sLq2Xw7Vb5Nz1Tc6Yh4Gm8Re2Up"  # made up, and of the form of a real one
NPMRC = f"//registry.npmjs.org/:_authToken={TOKEN}\n"
INSTRUCTIONS = ("COPY .npmrc app/", "RUN npm install", "RUN rm app/.npmrc")

pytestmark = needs("gitleaks")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def scanned(layout: Layout, image: PlatformImage) -> ScanResult:
    return Secrets().scan_image(layout.names(image), image)


@pytest.mark.parametrize(
    "last", [{"app/.wh..npmrc": ""}, {"app/.npmrc": "registry=https://registry.npmjs.org/\n"}], ids=["hidden", "again"]
)
def test_a_key_that_a_later_layer_hides_or_overwrites_is_found(layout: Layout, last: dict[str, str]) -> None:
    image = layout.image({"app/.npmrc": NPMRC}, {"app/index.js": "x()\n"}, last, instructions=INSTRUCTIONS)
    result = scanned(layout, image)
    [finding] = result.findings
    assert (finding.kind, finding.severity, finding.file, finding.line) == ("secret", "critical", "app/.npmrc", 1)
    assert (finding.layer, finding.instruction) == (layout.layers_of(image)[0], "COPY .npmrc app/")
    assert (result.status, result.subject, finding.platform) == ("findings", image.digest, "linux/amd64")
    assert result.sentence == (
        "secrets found 1 critical. A later layer takes no key back. Only a new build without it helps, and a new key."
    )


def test_a_stage_that_is_not_shipped_is_no_finding(layout: Layout) -> None:
    layout.image({"app/.npmrc": NPMRC})  # the build stage: its layers belong to no image that is released
    image = layout.image({"app/index.js": "x()\n"})
    assert scanned(layout, image).status == "clean"


def test_what_was_found_stands_nowhere(layout: Layout) -> None:
    instruction = f"RUN echo '{NPMRC.strip()}' > app/.npmrc"
    image = layout.image({"app/.npmrc": NPMRC}, {f"logs/{TOKEN}.txt": TOKEN}, instructions=(instruction, "COPY logs ."))
    result = scanned(layout, image)
    assert len(result.findings) >= 2
    assert TOKEN not in result.model_dump_json()
    assert TOKEN[4:] not in result.model_dump_json()
    assert any(it.instruction and "…" in it.instruction for it in result.findings)


def test_a_key_in_an_instruction_or_a_variable_is_found_in_the_configuration(layout: Layout) -> None:
    image = layout.image(
        {"a.txt": "a"}, instructions=[f"RUN |1 TOKEN={TOKEN} npm install"], settings={"Env": [f"NPM={TOKEN}"]}
    )
    result = scanned(layout, image)
    assert {it.file for it in result.findings} == {"the image's configuration"}
    assert TOKEN not in result.model_dump_json()


def test_fingerprints_of_base_images_are_no_keys(layout: Layout) -> None:
    key = "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D"
    image = layout.image({"a.txt": "a"}, instructions=[f"ENV {key}"], settings={"Env": [key]})
    assert scanned(layout, image).status == "clean"


def test_a_path_that_a_layer_has_twice_hides_nothing(layout: Layout) -> None:
    image = layout.image(archive([("app/.npmrc", NPMRC), ("app/.npmrc", "nothing\n"), ("app", "a file now\n")]))
    assert [it.file for it in scanned(layout, image).findings] == ["app/.npmrc"]


def test_what_comes_after_the_end_of_an_archive_is_looked_at(layout: Layout) -> None:
    image = layout.image(archive({"a.txt": "a"}) + archive({"app/.npmrc": NPMRC}))
    assert [it.file for it in scanned(layout, image).findings] == ["app/.npmrc"]


def test_settings_and_remarks_inside_of_an_image_excuse_nothing(layout: Layout) -> None:
    allowed = f"{NPMRC.strip()} # gitleaks:allow\n"
    settings = '[allowlist]\npaths = [".*"]\n'
    image = layout.image({"app/.npmrc": allowed, ".gitleaks.toml": settings, ".gitleaksignore": "app/.npmrc:npm:1\n"})
    assert [it.file for it in scanned(layout, image).findings] == ["app/.npmrc"]


def test_a_layer_that_is_not_compressed_is_looked_at(layout: Layout) -> None:
    image = layout.image({"app/.npmrc": NPMRC}, compressed=False)
    assert len(scanned(layout, image).findings) == 1


def test_a_layer_by_zstd_is_looked_at(layout: Layout) -> None:
    zstandard = pytest.importorskip("zstandard", reason="not run: zstandard is not on this machine")
    image = layout.image(zstandard.compress(archive({"app/.npmrc": NPMRC})), compressed=False)
    assert len(scanned(layout, image).findings) == 1


@pytest.mark.parametrize("how", ["cut", "none", "missing", "garbage"])
def test_a_layer_that_cannot_be_read_is_unknown(layout: Layout, how: str) -> None:
    image = layout.image({"app/index.js": "x()\n" * 1000}, {"b.txt": "b"})
    path = layout.folder / "blobs" / "sha256" / layout.layers_of(image)[0].removeprefix("sha256:")
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:-20], "none": b"", "garbage": b"\x1f\x8b" + b"x" * 100}[how])
    result = scanned(layout, image)
    assert result.status == "unknown"
    assert layout.layers_of(image)[0] in result.sentence


def test_an_image_without_anything_to_look_at_is_unknown(layout: Layout) -> None:
    image = layout.image(archive({"run.sh": "#!/bin/sh\n"}))
    result = Secrets().scan_image(layout.names(image), image.model_copy(update={"digest": "sha256:" + "0" * 64}))
    assert result.status == "unknown"


def test_nothing_of_a_layer_gets_out_of_its_folder(layout: Layout, tmp_path: Path) -> None:
    links = []
    for name, kind, aim in (
        ("etc/link", tarfile.SYMTYPE, "/etc"),
        ("hard", tarfile.LNKTYPE, "../../../outside"),
        ("dev/null", tarfile.CHRTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
    ):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, aim
        links.append(info)
    layer = archive(
        [("../../outside", "x"), ("/absolute", "y"), ("a/../../../../b", "z"), ("etc/link/passwd", "p"), ("..", "q")]
    )
    digest, other = layout.blob(layer), layout.blob(archive({}, *links))
    folder = tmp_path / "deep" / "files"
    names = unpack(layout.folder, [digest, other], folder)
    assert all(it.is_relative_to(folder / "0") for it in names)
    assert sorted(names.values()) == [".", "a/b", "absolute", "etc/link/passwd", "outside"]
    assert not (tmp_path / "outside").exists()
    assert not any(it.is_symlink() for it in folder.rglob("*"))
    assert {it.read_text() for it in names} == {"x", "y", "z", "p", "q"}


def test_a_layer_without_end_is_unknown(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_layers, "MOST_BYTES", 1000)
    monkeypatch.setattr(_layers, "PART", 100)
    digest = layout.blob(archive({"big": "x" * 100_000}))
    with pytest.raises(NotLooked, match="its layers have more than"):
        unpack(layout.folder, [digest], tmp_path / "files")
    assert sum(it.stat().st_size for it in (tmp_path / "files").rglob("*") if it.is_file()) <= 1200


def test_names_that_no_file_can_have_are_kept(layout: Layout, tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("x" * 300, "/".join("d" * 100 for _ in range(50)) + "/file"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"k"))
    names = unpack(layout.folder, [layout.blob(made.getvalue())], tmp_path / "files")
    assert [os.path.getsize(it) for it in names] == [1, 1]


def test_the_longest_key_goes_first() -> None:
    assert masked("a=token-long b=token", ["token-long", "token"]) == "a=… b=…"
