"""Which lines of the package each tier runs: ``python -m tests --coverage``."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".coverage"
PACKAGE = "plugins/release_pipelines/"
ALL = "all"


def counting(tier: str) -> list[str]:
    """What stands between ``python -m`` and a module whose lines are counted, with those of all processes that it starts."""
    shutil.rmtree(FOLDER / tier, ignore_errors=True)
    (FOLDER / tier).mkdir(parents=True)
    return ["coverage", "run", f"--data-file={FOLDER / tier / 'lines'}", "-m"]


def table(tiers: list[str]) -> Iterator[str]:
    """The share of each layer's lines that each tier ran, in percent; the last column is all of these tiers together."""
    folders = {tier: [FOLDER / tier] for tier in tiers if (FOLDER / tier).is_dir()}
    columns = {
        name: lines_by_layer(some) for name, some in {**folders, ALL: [one for [one] in folders.values()]}.items()
    }
    yield f"{'lines run, in %':16}" + "".join(f"{name:>16}" for name in columns)
    for layer in [*sorted({layer for run, _ in columns.values() for layer in run} - {ALL}), ALL]:
        shares = (100 * run[layer] / max(1, total[layer]) for run, total in columns.values())
        yield f"{layer:16}" + "".join(f"{share:16.0f}" for share in shares)


def lines_by_layer(folders: list[Path]) -> tuple[Counter[str], Counter[str]]:
    """How many lines of each layer were run, and how many there are."""
    from coverage import Coverage
    from coverage.exceptions import NoDataError

    run, total = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as made:
        measured = Coverage(data_file=f"{made}/lines", config_file=str(ROOT / "pyproject.toml"))
        try:
            measured.combine([str(path) for folder in folders for path in folder.iterdir()], keep=True)
            measured.json_report(outfile=f"{made}/report.json")
        except NoDataError:  # nothing ran
            return run, total
        files = json.loads(Path(made, "report.json").read_text())["files"]
    for path, file in files.items():
        for layer in (path.removeprefix(PACKAGE).split("/")[0].removesuffix(".py"), ALL):
            run[layer] += file["summary"]["covered_lines"]
            total[layer] += file["summary"]["num_statements"]
    return run, total
