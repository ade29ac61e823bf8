"""How the words of a container engine are read."""

from __future__ import annotations

import pytest

from release_pipelines.adapters.builders.engine import digest_pushed, image_built
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from tests.adapters.history.conftest import digest


def test_a_digest_is_read_from_either_kind_of_line() -> None:
    status = {"status": f"1.0.0: digest: {digest('a')} size: 5"}
    assert digest_pushed([{"status": "Pushing", "id": "x"}, status], "Pushing", print) == digest("a")
    assert digest_pushed([{"aux": {"Tag": "1.0.0", "Digest": digest("b")}}], "Pushing", print) == digest("b")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("unauthorized: authentication required", Forbidden),
        ("denied: requested access to the resource is denied", Forbidden),
        ('Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', PlatformUnavailable),
        ("manifest invalid", PlatformError),
    ],
)
def test_a_push_that_is_refused_is_no_success(said: str, error: type[PlatformError]) -> None:
    with pytest.raises(error) as caught:
        digest_pushed([{"errorDetail": {"message": said}, "error": said}], "Pushing shop:1.0.0", print)
    assert type(caught.value) is error
    assert said in str(caught.value)


def test_a_log_line_of_any_kind_is_text() -> None:
    logged: list[str] = []
    line = {"stream": "\x1b[31mred\0\x1b[0m\n" + "x" * 1_000_000 + "\n"}
    assert image_built([line, {"aux": {"ID": "1"}}], "Building", logged.append) == "1"
    assert all(len(it) <= 2000 and it.isprintable() for it in logged)


def test_an_error_of_megabytes_is_a_sentence() -> None:
    with pytest.raises(PlatformError) as caught:
        image_built([{"error": "bad\0\n" * 1_000_000}], "Building shop:1.0.0", print)
    assert len(str(caught.value)) < 1100
    assert "\0" not in str(caught.value)
