"""Real Syft on small images and folders."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from release_pipelines.adapters import sbom
from release_pipelines.adapters.sbom import NotIdentified, components_in, of_image, of_source, syft
from tests.oci_layouts import debian, make_layout

needs_syft = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: no SBOM was made")


@needs_syft
def test_an_image_is_listed_in_both_formats_with_its_digest(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", [debian(torch="2.5.1+cu124")])
    made = of_image(tmp_path / "image", "shop", image.digest)
    assert {(it.name, it.version) for it in made.components} == {
        ("perl-base", "5.40.1-6"),
        ("lodash", "4.17.0"),
        ("torch", "2.5.1+cu124"),
    }
    perl = next(it for it in made.components if it.name == "perl-base")
    assert (perl.source, perl.distro) == ("perl", "debian-13")
    assert made.subject == image.digest
    assert made.unread == []
    assert {it.purl for it in components_in(made.spdx)} == {it.purl for it in made.components}
    about = json.loads(made.cyclonedx)["metadata"]["component"]
    assert (about["name"], about["version"]) == ("shop", image.digest)
    assert str(tmp_path) not in made.cyclonedx + made.spdx


@needs_syft
def test_what_a_later_layer_removed_is_not_listed(tmp_path: Path) -> None:
    removed = {"app/node_modules/lodash/.wh.package.json": ""}
    image = make_layout(tmp_path / "image", [debian(), removed])
    assert [it.name for it in of_image(tmp_path / "image", "shop", image.digest).components] == ["perl-base"]


@needs_syft
def test_an_image_in_which_nothing_is_identified_has_no_sbom(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", [{"app/hello": "hello"}])
    with pytest.raises(NotIdentified, match="Syft identified no package in shop"):
        of_image(tmp_path / "image", "shop", image.digest)


@needs_syft
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", [{**debian(), "app/shop.jar": "PK no archive"}])
    [unread] = of_image(tmp_path / "image", "shop", image.digest).unread
    assert unread.startswith("app/shop.jar (java-archive-cataloger: ")


@needs_syft
def test_another_image_than_the_one_asked_for_has_no_sbom_here(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", [debian()])
    with pytest.raises(NotIdentified, match=f"Syft looked at {image.digest}, and sha256:0 was asked for"):
        of_image(tmp_path / "image", "shop", "sha256:0")


@needs_syft
def test_a_broken_layout_has_no_sbom(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", [debian()])
    for blob in (tmp_path / "image" / "blobs" / "sha256").iterdir():
        blob.write_bytes(b"")
    with pytest.raises(NotIdentified, match="Syft ended with exit code 1 and said: "):
        of_image(tmp_path / "image", "shop", image.digest)


@needs_syft
def test_source_code_is_listed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask==3.0.0\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "requirements.txt").write_text("pytest==8.0.0\n")
    made = of_source(tmp_path, "shop", "4f1c2aa")
    assert {(it.name, it.version) for it in made.components} == {("flask", "3.0.0"), ("pytest", "8.0.0")}
    assert made.subject is None
    assert [it.name for it in of_source(tmp_path, "shop", "4f1c2aa", ("./tests/**",)).components] == ["flask"]


@needs_syft
def test_source_code_does_not_configure_syft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements.txt").write_text("flask==3.0.0\n")
    (tmp_path / ".syft.yaml").write_text("exclude: ['./requirements.txt']\n")
    monkeypatch.chdir(tmp_path)
    assert [it.name for it in of_source(tmp_path, "shop", "4f1c2aa").components] == ["flask"]


def command(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is called like Syft and does something else."""
    folder.mkdir()
    program = folder / "syft"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 0", "Syft wrote no cyclonedx-json"),
        ("echo no space left >&2; exit 3", "Syft ended with exit code 3 and said: no space left"),
        ("sleep 20", "Syft took longer than 0 s"),
    ],
)
def test_an_exit_code_alone_is_no_sbom(script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path / "bin", script, monkeypatch)
    monkeypatch.setattr(syft, "TIMEOUT", 0.3)
    with pytest.raises(NotIdentified, match=why):
        of_source(tmp_path, "shop", "1")


def test_without_syft_nothing_is_identified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syft, "_path", lambda: None)
    with pytest.raises(NotIdentified, match="the command syft is missing on this worker"):
        of_source(tmp_path, "shop", "1")


def test_nothing_secret_of_the_worker_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", "swordfish")
    command(tmp_path / "bin", "env >&2; env | tr '\\n' ' ' >&2; exit 3", monkeypatch)
    with pytest.raises(NotIdentified) as caught:
        of_source(tmp_path, "shop", "1")
    assert "SYFT_CHECK_FOR_APP_UPDATE=false" in str(caught.value)
    assert "swordfish" not in str(caught.value)
