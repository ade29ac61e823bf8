from __future__ import annotations

from sandbox.traffic import Account


def test_nothing_is_counted_before_the_app_answers_for_the_first_time() -> None:
    account = Account()
    account.answer(1.0, 404, None)
    account.lose(1.0, "refused")
    assert account.state()["lost"] == 0
    assert account.state()["started"] is None


def _running() -> Account:
    account = Account()
    account.started = 1.0
    return account


def test_an_error_that_the_app_itself_gives_is_no_lost_request() -> None:
    account = _running()
    account.answer(2.0, 500, "1.2.0")
    state = account.state()
    assert (state["answered"], state["lost"], state["versions"]["1.2.0"]["errors"]) == (1, 0, 1)


def test_an_answer_that_the_app_did_not_give_is_a_lost_request() -> None:
    account = _running()
    account.answer(2.0, 502, None)
    account.lose(3.0, "no answer")
    assert account.state()["lost"] == 2
    assert account.state()["lost_requests"][0] == {"at": 2.0, "reason": "status 502, not from the app"}
