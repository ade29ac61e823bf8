"""What a command printed, and how it ended → what its stage came to."""

from __future__ import annotations

import pytest

from release_pipelines.features.own_stages.outputs import container_result


@pytest.mark.parametrize(
    ("output", "code", "sentence", "values"),
    [
        ("", 0, "passed", None),
        ("3 passed", 0, "passed: 3 passed", None),
        ('begins\n{"p95": 120, "all": [1]}\n\n', 0, "passed: p95 120", {"p95": 120, "all": [1]}),
        ('{"p95": 120}\nend', 0, "passed: end", None),
        ("{not json", 0, "passed: {not json", None),
        ("[1, 2]", 0, "passed: [1, 2]", None),
        ("no", 3, "passed: exit code 3, no", None),
        ('{"p95": 900}', 1, "failed: exit code 1, p95 900", {"p95": 900}),
        ("\x1b[31mbad\x1b[0m", 137, "failed: exit code 137, bad", None),
    ],
)
def test_a_command_that_ended(output: str, code: int, sentence: str, values: object) -> None:
    result = container_result(output, code, [0, 3], 60)
    assert (result["sentence"], result["values"], result["exit_code"]) == (sentence, values, code)
    assert (result["succeeded"], result["ended"]) == (code in (0, 3), True)


def test_zero_fails_where_another_code_is_expected() -> None:
    assert container_result("", 0, [1], 60)["sentence"] == "failed: exit code 0"


def test_a_command_that_took_too_long_has_not_ended() -> None:
    result = container_result('{"p95": 1}', None, [0], 90)
    assert (result["succeeded"], result["ended"], result["values"]) == (False, False, None)
    assert result["sentence"] == "failed: it took longer than 1 min 30 s"
