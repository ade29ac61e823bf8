"""Whatever a container writes, or an engine answers, comes in as text that can be kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.platforms.container_host.engine import _progress, _refusal, unframed
from release_pipelines.core.errors import CredentialsRefused, Forbidden
from release_pipelines.core.model.observation import Answer, TrackStatus


@given(st.binary(max_size=300))
def test_a_log_of_any_bytes_is_text(data: bytes) -> None:
    assert unframed(data).encode() is not None


def test_a_log_of_megabytes_in_frames_is_put_together_at_once() -> None:
    piece = b"x" * 1000
    frame = b"\1\0\0\0" + len(piece).to_bytes(4, "big") + piece
    assert len(unframed(frame * 20_000)) == 20_000_000


@given(st.binary(max_size=300))
def test_the_progress_of_a_pull_of_any_bytes_is_an_object(line: bytes) -> None:
    assert isinstance(_progress(line), dict)


@given(st.text(st.characters(codec=None), max_size=300), st.sampled_from([400, 404, 409, 500]))
def test_a_refusal_is_a_sentence(text: str, status: int) -> None:
    said = str(_refusal(status, text, "GET /info"))
    assert said.encode() is not None
    assert "\0" not in said


@pytest.mark.parametrize(("status", "kind"), [(401, CredentialsRefused), (403, Forbidden)])
def test_who_is_not_known_may_be_known_with_other_credentials(status: int, kind: type[Exception]) -> None:
    assert type(_refusal(status, "no", "GET /info")) is kind


@given(st.text(st.characters(codec=None)))
def test_what_is_observed_is_text_of_bearable_length(text: str) -> None:
    status = TrackStatus(track="canary", failure=text * 100, waiting=text, version=text)
    answer = Answer(status=200, version=text)
    for it in (status.failure, status.waiting, status.version, answer.version):
        assert it is not None
        assert len(it) <= 2000
        assert it.encode() is not None
        assert "\0" not in it
