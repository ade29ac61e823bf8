"""Documents say things once, and name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: str(it.relative_to(ROOT)))
def test_no_long_line_stands_twice_in_a_document(document: Path) -> None:
    long = [line.strip() for line in document.read_text().splitlines() if len(line.strip()) > 80]
    assert sorted({line for line in long if long.count(line) > 1}) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: str(it.relative_to(ROOT)))
def test_every_block_of_code_is_closed_and_no_heading_stands_in_one(document: Path) -> None:
    text = document.read_text()
    assert len(re.findall(r"^\s*```", text, re.MULTILINE)) % 2 == 0
    python = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in python:
        compile(block, str(document), "exec", dont_inherit=True)
    headings = re.findall(r"^## .*", text, re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_the_read_me_names_every_document_once() -> None:
    listed = (ROOT / "README.md").read_text().partition("## Where to go from here")[2]
    linked = re.findall(r"\]\((docs/[a-z-]+\.md)\)", listed)
    assert sorted(linked) == sorted(str(it.relative_to(ROOT)) for it in (ROOT / "docs").glob("*.md"))


def test_every_operator_and_sensor_is_in_the_document_of_operators() -> None:
    from release_pipelines import operators, sensors

    text = (ROOT / "docs" / "operators.md").read_text()
    named = set(re.findall(r"\b[A-Z]\w+(?:Operator|Sensor)\b", text))
    assert named == {*operators.__all__, *sensors.__all__}


def test_every_folder_that_a_variable_names_is_in_the_read_me() -> None:
    source = (ROOT / "plugins" / "release_pipelines" / "spec" / "folders.py").read_text()
    variables = set(re.findall(r"RELEASE_PIPELINES_[A-Z]+", source)) | {"RELEASE_PIPELINES_STATE"}
    assert variables <= set(re.findall(r"\| `(RELEASE_PIPELINES_[A-Z]+)` \|", (ROOT / "README.md").read_text()))
