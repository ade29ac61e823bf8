"""The lists of what is exploited, and will be."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from release_pipelines.adapters.advisories import NoData, exploit_scores, known_exploited
from tests.calendar_server import CalendarServer, calendar_server

__all__ = ["calendar_server"]

KEV = {
    "catalogVersion": "2026.11.26",
    "dateReleased": "2026-11-26T18:00:00.1234Z",
    "vulnerabilities": [
        {
            "cveID": "CVE-2025-41115",
            "dateAdded": "2026-11-20",
            "dueDate": "2026-12-11",
            "knownRansomwareCampaignUse": "Unknown",
        }
    ],
}
EPSS = "#model_version:v2026.03.14,score_date:2026-11-26T00:00:00+0000\ncve,epss,percentile\nCVE-2025-41115,0.94213,0.9990\ncve-1999-0001,0.01,0.5\n"
DAY = datetime(2026, 11, 26, tzinfo=timezone.utc).timestamp()


def test_known_exploited_flaws_are_names_to_days(tmp_path: Path) -> None:
    (tmp_path / "kev.json").write_text(json.dumps(KEV))
    for where in (tmp_path / "kev.json", tmp_path):
        kev = known_exploited(str(where), tmp_path / "copies")
        assert kev.since == {"CVE-2025-41115": "2026-11-20"}
        assert (kev.data.records, kev.data.at) == (1, DAY + 18 * 3600 + 0.1234)


@pytest.mark.parametrize("packed", [True, False])
def test_scores_are_names_to_probabilities(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "epss_scores-2026-11-26.csv.gz"
    path.write_bytes(gzip.compress(EPSS.encode()) if packed else EPSS.encode())
    (tmp_path / "epss_scores-2026-11-25.csv.gz").write_bytes(b"")
    for where in (path, tmp_path):
        scores = exploit_scores(str(where), tmp_path / "copies")
        assert scores.chances == {"CVE-2025-41115": 0.94213, "CVE-1999-0001": 0.01}
        assert scores.data.at == DAY


def test_they_come_from_an_address_and_a_copy_of_it(calendar_server: CalendarServer, tmp_path: Path) -> None:
    calendar_server.answer = (200, {"ETag": '"one"'}, gzip.compress(EPSS.encode()))
    url = f"{calendar_server.url}/epss.csv.gz"
    assert len(exploit_scores(url, tmp_path).chances) == 2
    calendar_server.close()
    again = exploit_scores(url, tmp_path)
    assert len(again.chances) == 2
    assert "did not answer" in str(again.data.note)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "JSON with `vulnerabilities` is expected"),
        ("<html>", "JSON with `vulnerabilities` is expected"),
        ('{"vulnerabilities": [{}]}', "JSON with `vulnerabilities` is expected"),
        ('{"vulnerabilities": []}', "names no known exploited vulnerability"),
    ],
)
def test_a_list_that_is_none_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "kev.json").write_text(text)
    with pytest.raises(NoData, match=why):
        known_exploited(str(tmp_path / "kev.json"), tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"name,score\na,1\n", "CSV with the columns `cve` and `epss`"),
        (b"cve,epss\nCVE-1,high\n", "CSV with the columns `cve` and `epss`"),
        (b"cve,epss\nCVE-1,1.5\n", "CSV with the columns `cve` and `epss`"),
        (b"cve,epss\nCVE-1,nan\n", "CSV with the columns `cve` and `epss`"),
        (b"#model_version:v1\ncve,epss,percentile\n", "has no score"),
        (gzip.compress(EPSS.encode(), mtime=0)[:60], "cannot be read to its end"),
    ],
)
def test_scores_that_are_none_are_refused(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "epss.csv.gz").write_bytes(content)
    with pytest.raises(NoData, match=why):
        exploit_scores(str(tmp_path / "epss.csv.gz"), tmp_path)
