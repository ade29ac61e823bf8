"""Advisory data from folders, archives and addresses; what cannot be read whole is no data."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

from release_pipelines.adapters.advisories import sources
from release_pipelines.adapters.advisories.records import Record
from release_pipelines.adapters.advisories.sources import Data, NoData, read_records
from tests.calendar_server import CalendarServer, calendar_server, other_server

__all__ = ["calendar_server", "other_server"]

NOVEMBER = datetime(2026, 11, 1, tzinfo=timezone.utc).timestamp()
RECORDS = {
    "A-1.json": '{"id": "A-1", "modified": "2026-10-01T00:00:00Z", "affected": []}',
    "deep/A-2.json": '{"id": "A-2", "modified": "2026-11-01T00:00:00.123Z", "schema_version": "1.7.4"}',
}


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tarred(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def read(where: Path | str, tmp_path: Path) -> tuple[Data, list[str]]:
    taken: list[Record] = []
    data = read_records(str(where), tmp_path / "copies", taken.append, now=NOVEMBER + 86_400)
    return data, sorted(it.id for it in taken)


def refusal(where: Path | str, tmp_path: Path) -> str:
    with pytest.raises(NoData) as caught:
        read(where, tmp_path)
    return str(caught.value)


def folder_of(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / "osv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "osv"


@pytest.mark.parametrize("pack", [zipped, tarred, None], ids=["zip", "tar.gz", "folder"])
def test_all_records_are_read_and_the_newest_tells_their_age(pack, tmp_path: Path) -> None:
    if pack is None:
        where = folder_of(tmp_path, RECORDS)
    else:
        where = tmp_path / "all.archive"
        where.write_bytes(pack(RECORDS))
    os.utime(where, (NOVEMBER + 9999, NOVEMBER + 9999))
    data, ids = read(where, tmp_path)
    assert ids == ["A-1", "A-2"]
    assert (data.records, data.newest, data.file_at, data.note) == (2, NOVEMBER + 0.123, NOVEMBER + 9999, None)
    assert data.at == NOVEMBER + 0.123  # a copy of old data is as old as they are


def test_a_record_of_the_future_makes_no_data_new(tmp_path: Path) -> None:
    future = {"A-3.json": '{"id": "A-3", "modified": "2039-01-01T00:00:00Z"}'}
    data, _ = read(folder_of(tmp_path, {**RECORDS, **future}), tmp_path)
    assert (data.records, data.newest) == (3, NOVEMBER + 0.123)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "JSON is expected"),
        ("[]", "an OSV record with `id` and `modified` is expected"),
        ('{"id": "A-9"}', "an OSV record with `id` and `modified` is expected"),
        ('{"id": "A-9", "modified": "soon"}', "a time like 2026-01-31T12:00:00Z is expected, found soon"),
        (
            '{"id": "A-9", "modified": "2026-11-01", "schema_version": "2.0"}',
            "a record of OSV schema 1 is expected, found 2.0",
        ),
        ('{"id": "A-9", "modified": "2026-11-01", "affected": {}}', None),
        (
            '{"id": "A-9", "modified": "2026-11-01", "affected": ["x"]}',
            "`affected` of an OSV record is a list of objects",
        ),
    ],
)
def test_one_record_that_cannot_be_read_is_named(text: str, why: str | None, tmp_path: Path) -> None:
    where = folder_of(tmp_path, {**RECORDS, "A-9.json": text})
    if why is None:
        assert read(where, tmp_path)[0].records == 3
    else:
        assert refusal(where, tmp_path).startswith(f"A-9.json of {where} cannot be read: {why}")


def test_no_records_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty", tmp_path) == f"{tmp_path}/empty has no OSV records"
    assert refusal(tmp_path / "gone", tmp_path) == f"there is no file or folder {tmp_path}/gone"


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_that_ends_early_is_no_data(pack, tmp_path: Path) -> None:
    many = {
        f"A-{n}.json": json.dumps({"id": f"A-{n}", "modified": "2026-11-01", "x": os.urandom(99).hex()})
        for n in range(99)
    }
    whole = pack(many)
    path = tmp_path / "all.archive"
    path.write_bytes(whole[: len(whole) // 2])
    assert "expected" in (said := refusal(path, tmp_path)) or "cannot be read to its end" in said


def test_an_archive_whose_bytes_changed_is_no_data(tmp_path: Path) -> None:
    whole = bytearray(zipped(RECORDS))
    whole[45] ^= 0xFF
    (tmp_path / "all.zip").write_bytes(whole)
    assert "all.zip cannot be read to its end" in refusal(tmp_path / "all.zip", tmp_path)


def test_records_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.zip").write_bytes(zipped(RECORDS))
    monkeypatch.setattr(sources, "MOST_UNPACKED", 100)
    assert "more than 100 bytes" in refusal(tmp_path / "all.zip", tmp_path)
    monkeypatch.setattr(sources, "MOST_UNPACKED", 10_000)
    monkeypatch.setattr(sources, "MOST_RECORD", 10)
    assert "more than 10 bytes" in refusal(tmp_path / "all.zip", tmp_path)


def test_an_address_is_fetched_once_and_asked_again_with_its_state(
    calendar_server: CalendarServer, tmp_path: Path
) -> None:
    said = {"ETag": '"one"', "Last-Modified": "Sun, 01 Nov 2026 06:00:00 GMT"}
    calendar_server.answer = (200, said, zipped(RECORDS))
    url = f"{calendar_server.url}/secret-path/PyPI/all.zip"
    data, ids = read(url, tmp_path)
    assert (data.source, ids) == (f"{calendar_server.url}/…/all.zip", ["A-1", "A-2"])
    assert data.file_at == NOVEMBER + 6 * 3600
    calendar_server.answer = (304, {}, b"")
    assert read(url, tmp_path)[1] == ["A-1", "A-2"]
    assert calendar_server.asked[1][1]["if-none-match"] == '"one"'
    calendar_server.answer = (200, {"ETag": '"two"'}, zipped({"A-1.json": RECORDS["A-1.json"]}))
    assert read(url, tmp_path)[1] == ["A-1"]
    assert "authorization" not in calendar_server.asked[0][1]


def test_without_its_server_the_copy_serves_and_says_so(calendar_server: CalendarServer, tmp_path: Path) -> None:
    calendar_server.answer = (200, {"ETag": '"one"'}, zipped(RECORDS))
    url = f"{calendar_server.url}/all.zip"
    read(url, tmp_path)
    calendar_server.answer = (503, {}, b"")
    data, ids = read(url, tmp_path)
    assert ids == ["A-1", "A-2"]
    assert f"{calendar_server.url} answered with status 503: the copy of 20" in str(data.note)
    calendar_server.close()
    assert "did not answer" in str(read(url, tmp_path)[0].note)


def test_without_its_server_and_without_a_copy_there_are_no_data(
    calendar_server: CalendarServer, tmp_path: Path
) -> None:
    calendar_server.answer = (404, {}, b"")
    said = refusal(f"{calendar_server.url}/secret-path/all.zip", tmp_path)
    assert said == (
        f"{calendar_server.url}/…/all.zip cannot be fetched: {calendar_server.url} answered with status 404, "
        "and there is no copy of it"
    )


def test_an_answer_that_ends_early_leaves_the_copy(calendar_server: CalendarServer, tmp_path: Path) -> None:
    calendar_server.answer = (200, {"ETag": '"one"'}, zipped(RECORDS))
    url = f"{calendar_server.url}/all.zip"
    read(url, tmp_path)
    calendar_server.answer = (200, {"Content-Length": "99999"}, zipped({})[:10])
    data, ids = read(url, tmp_path)
    assert ids == ["A-1", "A-2"]
    assert "not to the end" in str(data.note)
    assert not list((tmp_path / "copies").rglob("unfinished-*"))


def test_more_than_may_be_fetched_is_refused(
    calendar_server: CalendarServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 20)
    calendar_server.answer = (200, {}, zipped(RECORDS))
    assert "has a file of more than 20 bytes" in refusal(f"{calendar_server.url}/all.zip", tmp_path)


def test_an_archive_in_a_packed_answer_is_unpacked(calendar_server: CalendarServer, tmp_path: Path) -> None:
    calendar_server.answer = (200, {"Content-Encoding": "gzip"}, gzip.compress(zipped(RECORDS)))
    assert read(f"{calendar_server.url}/all.zip", tmp_path)[1] == ["A-1", "A-2"]
