"""Where advisory data are: a folder, an archive, or the address of an archive, of which the last copy is kept."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from release_pipelines.adapters.advisories.records import Record, in_words, record_in
from release_pipelines.adapters.outbound import NotFetched, download, server
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import one_line

MOST_BYTES = 4_000_000_000
"""Maximum length of an archive that is fetched, in bytes."""
TOTAL_SECONDS = 600.0
"""Maximum time to fetch one, in seconds."""
MOST_UNPACKED = 40_000_000_000
"""Maximum length of all records of an archive, in bytes."""
MOST_RECORD = 50_000_000
"""Maximum length of one record, in bytes."""
TOLERANCE = 86_400.0
"""Clocks differ: a record that is newer than now by more than this, in seconds, says nothing about the age of the data."""
BROKEN = (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, tarfile.TarError)
"""What reading a broken archive raises; RuntimeError: it is encrypted, or packed in a way that nobody here knows."""
KEPT_SECONDS = 86_400.0
"""How long a copy stays after a newer one: somebody may be reading it."""


class NoData(ReleaseError):
    """Advisory data cannot be read, or not all of them. The sentence has no full stop."""


@dataclass(frozen=True)
class Data:
    """What a source had, and how old it is.

    :param source: as it is shown; of an address only the server and the name of the file.
    :param records: number of records.
    :param newest: when the newest record was modified, as Unix time in seconds; None: nothing says so.
    :param file_at: when the file, or the server's state of it, was made.
    :param note: what is worth knowing, like that it could not be fetched anew; None: nothing.
    """

    source: str
    records: int
    newest: float | None
    file_at: float | None = None
    note: str | None = None

    @property
    def at(self) -> float | None:
        """How old the data are: their newest record tells, which no copying changes; else the file."""
        return self.newest if self.newest is not None else self.file_at


@dataclass(frozen=True)
class Place:
    """A source that is on this machine.

    :param path: a file or folder.
    :param shown: its name for people.
    :param file_at: see :class:`Data`.
    :param note: see :class:`Data`.
    """

    path: Path
    shown: str
    file_at: float | None
    note: str | None = None


def read_records(where: str, copies: Path, take: Callable[[Record], None], now: float | None = None) -> Data:
    """Read all records of a source.

    :param where: a folder, a file (``.zip``, ``.tar.gz``, one record), or an address of http or https.
    :param copies: folder of the copies of what was fetched.
    :param take: is given each record.
    :raises NoData: when there are none, or one cannot be read: nothing is known then of what it would say.
    """
    here = time.time() if now is None else now
    count = 0
    newest: float | None = None
    place = found(where, copies)
    try:
        for name, content in _documents(place.path):
            try:
                record = record_in(content)
            except ValueError as error:
                raise NoData(f"{one_line(name, 200)} of {place.shown} cannot be read: {error}") from None
            count += 1
            if record.modified <= here + TOLERANCE:
                newest = max(newest or 0.0, record.modified)
            take(record)
    except BROKEN as error:
        raise NoData(f"{place.shown} cannot be read to its end: {one_line(error, 200)}") from None
    if not count:
        raise NoData(f"{place.shown} has no OSV records")
    return Data(place.shown, count, newest, place.file_at, place.note)


def found(where: str, copies: Path) -> Place:
    """A source, on this machine: what is elsewhere is fetched, unless it is the same as the copy.

    Where a server does not answer, the copy serves, and how old it is decides what it is worth.

    :raises NoData: when it is not there, and there is no copy.
    """
    if where.startswith(("http://", "https://")):
        return _fetched(where, copies)
    path = Path(where).expanduser()
    if not path.exists():
        raise NoData(f"there is no file or folder {path}")
    return Place(path, str(path), path.stat().st_mtime)


def shown(where: str) -> str:
    """A source in words: an address may have a secret in its path."""
    if where.startswith(("http://", "https://")):
        return f"{server(where)}/…/{where.partition('?')[0].rstrip('/').rpartition('/')[2]}"
    return where


def default_copies() -> Path:
    """Where copies are kept: in ``$RELEASE_PIPELINES_STATE``, else in ``$AIRFLOW_HOME/release_pipelines``."""
    home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
    folder = Path(os.environ.get("RELEASE_PIPELINES_STATE") or f"{home}/release_pipelines").expanduser()
    return folder.absolute() / "advisories"


def _fetched(url: str, copies: Path) -> Place:
    """The copy of what is at an address. Its file and the server's state of it change in one step, whoever else fetches it."""
    folder = copies / hashlib.sha256(url.encode()).hexdigest()[:32]
    name, state = shown(url), folder / "state.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _known(state)
        handle, unfinished = tempfile.mkstemp(dir=folder, prefix="unfinished-")
        try:
            with os.fdopen(handle, "wb") as file:
                said = download(
                    url, {}, known, file,
                    what="a file", accept="*/*", most_bytes=MOST_BYTES, total_seconds=TOTAL_SECONDS,
                )  # fmt: skip
            if said is not None:
                own = f"{_digest(unfinished)}.data"
                os.replace(unfinished, folder / own)
                known = {"file": own, "etag": said.etag, "modified": said.modified}
                _write(state, {**known, "fetched_at": time.time()})
                _clear(folder, own)
        finally:
            Path(unfinished).unlink(missing_ok=True)
    except NotFetched as error:
        if not known:
            raise NoData(f"{name} cannot be fetched: {error}, and there is no copy of it") from None
        when = in_words(json.loads(state.read_text()).get("fetched_at", 0.0))
        return Place(folder / str(known["file"]), name, _moment(known.get("modified")), f"{error}: the copy of {when}")
    except OSError as error:
        raise NoData(f"the copy of {name} cannot be kept in {copies}: {one_line(error)}") from None
    return Place(folder / str(known["file"]), name, _moment(known.get("modified")))


def _known(state: Path) -> dict[str, str | None]:
    """The server's state of the copy; empty where there is no whole one."""
    try:
        tree = json.loads(state.read_text())
        known = {key: tree.get(key) for key in ("file", "etag", "modified")}
        return known if (state.parent / str(known["file"])).is_file() else {}
    except (OSError, ValueError, AttributeError):
        return {}


def _clear(folder: Path, current: str) -> None:
    for it in folder.glob("*.data"):
        if it.name != current and time.time() - it.stat().st_mtime > KEPT_SECONDS:
            it.unlink(missing_ok=True)


def _write(path: Path, tree: dict[str, Any]) -> None:
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix="unfinished-")
    with os.fdopen(handle, "w") as file:
        json.dump(tree, file)
    os.replace(unfinished, path)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _hashed(file)


def _hashed(file: IO[bytes]) -> str:
    """For Python 3.10."""
    digest = hashlib.sha256()
    while piece := file.read(1_000_000):
        digest.update(piece)
    return digest.hexdigest()


def _moment(header: str | None) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except (ValueError, TypeError):
        return None


def _documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """All JSON documents of a folder, an archive, or a file that is one."""
    if path.is_dir():
        for it in sorted(path.rglob("*.json")):
            yield str(it.relative_to(path)), _limited(it.name, it.stat().st_size, it.read_bytes)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = [it for it in archive.infolist() if it.filename.endswith(".json")]
            _bearable(sum(it.file_size for it in entries))
            for entry in entries:
                yield entry.filename, _limited(entry.filename, entry.file_size, partial(archive.read, entry))
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            total = 0
            for member in tar:
                if member.isfile() and member.name.endswith(".json"):
                    total += member.size
                    _bearable(total)
                    yield member.name, _limited(member.name, member.size, partial(_content, tar, member))
    else:
        with path.open("rb") as file:
            if file.read(1) != b"{":
                raise NoData(f"{path.name}: a folder, a .zip, a .tar.gz or a record in JSON is expected")
        yield path.name, _limited(path.name, path.stat().st_size, path.read_bytes)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _limited(name: str, size: int, read: Callable[[], bytes]) -> bytes:
    if size > MOST_RECORD:
        raise NoData(f"{one_line(name, 200)} has more than {MOST_RECORD:,} bytes")
    return read()


def _bearable(size: int) -> None:
    if size > MOST_UNPACKED:
        raise NoData(f"its records have more than {MOST_UNPACKED:,} bytes")
