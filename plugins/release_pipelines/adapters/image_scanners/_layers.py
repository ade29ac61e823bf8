"""Files of layers, side by side: nothing of a layer replaces or hides anything, and nothing leads out of its folder."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, cast

from release_pipelines.adapters.tools import NotLooked
from release_pipelines.adapters.tools.layout import blob
from release_pipelines.core.text import one_line

MOST_BYTES = 10 * 2**30
"""Maximum size of all files of an image, in bytes."""

MOST_FILES = 2_000_000

PART = 2**20


def unpack(layout: Path, layers: Sequence[str], folder: Path) -> dict[Path, str]:
    """Write the regular files of layers into a folder, ``<number of the layer>/<path>``.

    A path that a layer has twice stands there twice: the second file would hide the first one, which whoever pulls the layer can read.
    Links and devices hold nothing that could be looked at.

    :return: the files that were written, and their paths in the image.
    :raises NotLooked: when a layer cannot be read whole, or is too large.
    """
    names: dict[Path, str] = {}
    left = MOST_BYTES
    for number, digest in enumerate(layers):
        try:
            with (
                _opened(layout, digest) as content,
                tarfile.open(fileobj=content, mode="r|", ignore_zeros=True) as archive,
            ):
                for member in archive:
                    if not member.isreg():
                        continue
                    source = archive.extractfile(member)
                    assert source is not None  # noqa: S101 - it is a regular file
                    inner = PurePosixPath(
                        *(it for it in PurePosixPath(member.name).parts if it not in ("/", "..", "."))
                    )
                    path = _place(folder / str(number), inner, len(names))
                    left -= _copy(source, path, left)
                    names[path] = str(inner)
                    if left < 0 or len(names) > MOST_FILES:
                        raise NotLooked(f"its layers have more than {MOST_BYTES >> 30} GiB, or {MOST_FILES:,} files")
        except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
            if isinstance(error, NotLooked):
                raise
            raise NotLooked(
                f"layer {digest} cannot be read whole ({type(error).__name__}: {one_line(error, 200)})"
            ) from error
    return names


def _place(folder: Path, inner: PurePosixPath, number: int) -> Path:
    """Where a file is written: nothing may stand there already, or be a file where a folder is needed."""
    path = folder / inner
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and inner.parts:
            return path
    except OSError:  # a file is in the way, or the name is too long
        pass
    again = folder / ".again" / str(number) / (inner.name[-60:] or "file")
    again.parent.mkdir(parents=True, exist_ok=True)
    return again


def _copy(source: IO[bytes], path: Path, most: int) -> int:
    """Write a file, and one part more than allowed at most; gives its size."""
    size = 0
    with path.open("xb") as file:
        while size <= most and (part := source.read(PART)):
            size += file.write(part)
    return size


@contextlib.contextmanager
def _opened(layout: Path, digest: str) -> Iterator[IO[bytes]]:
    """A layer's archive, however it is compressed."""
    with blob(layout, digest).open("rb") as file:
        beginning = file.read(4)
        file.seek(0)
        if beginning[:2] == b"\x1f\x8b":
            with gzip.open(file) as plain:
                yield cast("IO[bytes]", plain)
        elif beginning == b"\x28\xb5\x2f\xfd":
            try:
                import zstandard
            except ImportError:
                raise NotLooked(f"layer {digest} is compressed by zstd (pip install zstandard on the worker)") from None
            with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain:
                yield plain
        else:
            yield file
