"""Whatever bytes others write, what comes in is text that can be kept and shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.text import MARK, Keep, clean, last_lines, one_line

KEEPS = st.sampled_from(["start", "middle", "end"])
ANYTHING = st.one_of(
    st.binary(),
    st.text(st.characters(codec=None)),
    st.lists(
        st.sampled_from(["\x1b[31m", "\x1b]0;title\x07", "\x1b", "\0", "\r", "\n", "\u009b", "\ud800", "é", "a b"])
    ).map("".join),
)


@given(ANYTHING, st.integers(10, 200), KEEPS)
def test_what_comes_in_is_safe_and_short_enough(raw: bytes | str, limit: int, keep: Keep) -> None:
    text = clean(raw, limit, keep)
    assert len(text) <= limit
    assert all(it in "\n\t" or it.isprintable() or it.isspace() or ord(it) > 0x9F for it in text)
    assert "\0" not in text
    assert "\x1b" not in text
    assert json.loads(json.dumps(text)).encode() == text.encode()


@given(ANYTHING, st.integers(10, 200), KEEPS)
def test_cleaned_text_stays_as_it_is(raw: bytes | str, limit: int, keep: Keep) -> None:
    text = clean(raw, limit, keep)
    assert clean(text, limit, keep) == text


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=100))
def test_plain_text_is_not_changed(text: str) -> None:
    assert clean(text, 100) == text
    assert clean(text.encode(), 100) == text


@given(ANYTHING, st.integers(1, 5), st.integers(10, 200))
def test_last_lines_are_few_and_not_blank(raw: bytes | str, count: int, limit: int) -> None:
    lines = last_lines(raw, count, limit)
    assert len(lines) <= count
    assert all(line.strip() and "\n" not in line for line in lines)
    assert "\n" not in one_line(raw, limit)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xe9", "caf\ufffd"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10 %\r20 %\r\ndone\0", "10 %\n20 %\ndone"),
        ("a\ud800b", "a\ufffdb"),
        (ValueError("no"), "no"),
    ],
)
def test_what_a_terminal_or_a_database_would_choke_on_goes(raw: object, text: str) -> None:
    assert clean(raw) == text


@pytest.mark.parametrize(("keep", "text"), [("start", "aaaaaa […]"), ("end", "[…] bbbbbb"), ("middle", "aa […] bb")])
def test_a_long_text_is_cut_with_a_mark(keep: Keep, text: str) -> None:
    for long in (b"a" * 20 + b"b" * 20, b"a" * 5_000_000 + b"b" * 5_000_000):
        assert clean(long, 10, keep) == text
        assert clean(long.decode(), 10, keep) == text


def test_what_was_left_out_is_marked_also_where_escapes_went_away() -> None:
    assert clean("\x1b[0m" * 100_000 + "end", 50, "start") == MARK


def test_a_log_of_megabytes_ends_quickly() -> None:
    assert last_lines(b"line\n" * 4_000_000 + b"the end\n", 1) == ["the end"]
