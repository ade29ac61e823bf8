"""The log of a container as an engine sends it, without a terminal: pieces, each with a header of 8 bytes that ends with its length."""

from __future__ import annotations

from collections import deque

HEADER = 8


class LogEnd:
    """The end of a log that comes in pieces, however long it is.

    :param limit: bytes that are kept at least; None: all.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = None if limit is None else 4 * limit
        self._kept: deque[bytes] = deque()
        self._length = 0
        self._header = b""
        self._left = 0
        self._framed: bool | None = None

    @property
    def text(self) -> str:
        """What was kept."""
        plain = [] if self._framed else [self._header]  # too short for a header
        return b"".join([*self._kept, *plain]).decode(errors="replace")

    def take(self, data: bytes) -> None:
        """Take in what comes next."""
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                self._keep(piece)
                continue
            if self._framed is False:
                self._keep(data[at:])
                return
            rest = HEADER - len(self._header)
            self._header += data[at : at + rest]
            at += rest
            if len(self._header) < HEADER:
                return
            if not _is_header(self._header):
                if self._framed:  # what follows is nothing that can be read
                    self._header, self._left = b"", 0
                    return
                self._framed = False
                self._keep(self._header)
            else:
                self._framed, self._left = True, int.from_bytes(self._header[4:], "big")
            self._header = b""

    def _keep(self, piece: bytes) -> None:
        self._kept.append(piece)
        self._length += len(piece)
        while self._limit is not None and self._length - len(self._kept[0]) >= self._limit:
            self._length -= len(self._kept.popleft())


def unframed(data: bytes) -> str:
    """Text of a log that is here as a whole."""
    log = LogEnd()
    log.take(data)
    return log.text


def _is_header(data: bytes) -> bool:
    return data[0] in (0, 1, 2) and data[1:4] == b"\0\0\0"
