"""A failing task says why, in one sentence."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from release_pipelines.airflow.operator import AbortedByPerson, OutsideTrouble, ReleaseOperator, as_value, checked_event
from release_pipelines.core.errors import FenceLost, Forbidden, MetricsUnavailable, PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from tests.features.helpers import Ti


def run(error: Exception) -> tuple[Exception, dict[str, Any]]:
    class Failing(ReleaseOperator):
        def work(self, context: Any) -> None:
            raise error

    ti = Ti("work")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what the tests look at
        Failing(task_id="work").execute({"ti": ti})  # type: ignore[arg-type]
    return caught.value, ti.pushed


@pytest.mark.parametrize(
    "error", [PlatformUnavailable("The engine is away."), MetricsUnavailable("Prometheus is away.")]
)
def test_what_another_try_may_mend_is_retried(error: Exception) -> None:  # R12
    raised, pushed = run(error)
    assert isinstance(raised, AirflowException)
    assert not isinstance(raised, AirflowFailException)
    assert pushed == {"reason": str(error)}


@pytest.mark.parametrize("error", [FenceLost("Somebody else holds it."), ValueError("No such thing.")])
def test_what_was_refused_fails_for_good(error: Exception) -> None:  # R12
    raised, pushed = run(error)
    assert isinstance(raised, AirflowFailException)
    assert str(raised) == str(error) == pushed["reason"]


@pytest.mark.parametrize("error", [PlatformUnavailable("The engine is away."), Forbidden("It may not.")])
def test_a_task_that_failed_because_of_what_is_around_the_version_says_so(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:  # R8
    monkeypatch.setattr(Ti, "max_tries", 0, raising=False)
    _, pushed = run(error)
    assert pushed == {"reason": str(error), "trouble": type(error).__name__}


@pytest.mark.parametrize(("kind", "trouble"), [("PlatformUnavailable", True), ("PlatformError", False), ("?", False)])
def test_the_trouble_of_a_trigger_is_that_of_its_task(kind: str, trouble: bool) -> None:  # R8
    with pytest.raises(AirflowFailException) as caught:
        checked_event({"error": "It does not answer.", "kind": kind})
    assert isinstance(caught.value, OutsideTrouble) is trouble


def test_a_skip_is_no_failure() -> None:
    raised, pushed = run(AirflowSkipException("not today"))
    assert isinstance(raised, AirflowSkipException)
    assert pushed == {}


def test_an_unforeseen_error_keeps_its_message_out_of_xcom() -> None:  # R11
    raised, pushed = run(RuntimeError("password=hunter2"))
    assert isinstance(raised, RuntimeError)
    assert pushed == {"reason": "work failed with an unforeseen RuntimeError; its log says more."}


def test_a_value_that_does_not_fit_is_named_without_being_shown() -> None:  # R11
    with pytest.raises(ValueError, match="digest") as caught:
        as_value(Artifact, {"app": "shop", "version": "1", "image": "r/shop", "digest": "hunter2"}, "artifact")
    _, pushed = run(caught.value)
    assert pushed["reason"].startswith("Artifact at digest does not fit")
    assert "hunter2" not in pushed["reason"]


def test_a_person_who_aborts_is_named_and_nothing_is_tried_again() -> None:  # R13
    raised, pushed = run(AbortedByPerson("alice", "wrong price list"))
    assert isinstance(raised, AirflowFailException)
    assert pushed == {
        "aborted": {"by": "alice", "reason": "wrong price list"},
        "reason": "alice aborted it: wrong price list",
    }


def test_an_event_that_tells_of_an_abort_or_a_refusal_is_no_success() -> None:
    with pytest.raises(AbortedByPerson, match="alice aborted it: no"):
        checked_event({"aborted": {"by": "alice", "reason": "no"}, "error": None})
    with pytest.raises(AirflowFailException, match="is held by"):
        checked_event({"error": "The lease is held by somebody.", "kind": "FenceLost"})
    assert checked_event({"promoted": True, "aborted": None}) == {"promoted": True, "aborted": None}
