"""Calendars are fetched from servers that are slow, broken, or ask for things that are none of their business."""

from __future__ import annotations

import gzip
import socket

import pytest

from release_pipelines.adapters import outbound
from release_pipelines.adapters.calendars import fetch as module
from release_pipelines.adapters.calendars.fetch import NotFetched, change_calendar, fetch
from tests.adapters.calendars.texts import event, ics
from tests.calendar_server import CalendarServer, calendar_server, other_server

__all__ = ["calendar_server", "other_server"]

TEXT = ics(event("DTSTART:20261224T200000Z", "DURATION:PT1H")).encode()
SECRETS = {"Authorization": "Basic c2VjcmV0", "X-Api-Key": "pear-tree-7"}


def refusal(url: str, **how) -> str:
    with pytest.raises(NotFetched) as error:
        fetch(f"{url}/private-7f3a/basic.ics", SECRETS, {}, **how)
    said = str(error.value)
    assert "private-7f3a" not in said
    assert "pear-tree-7" not in said
    return said


def test_what_was_fetched_comes_with_what_the_server_says_of_its_state(calendar_server: CalendarServer):
    calendar_server.answer = (200, {"ETag": '"7"', "Last-Modified": "Fri, 27 Nov 2026 12:00:00 GMT"}, TEXT)
    found = fetch(f"{calendar_server.url}/a.ics", SECRETS, {})
    assert found is not None
    assert (found.content.encode(), found.etag) == (TEXT.replace(b"\r\n", b"\n"), '"7"')
    [(path, headers)] = calendar_server.asked
    assert path == "/a.ics"
    assert (headers["authorization"], headers["x-api-key"]) == ("Basic c2VjcmV0", "pear-tree-7")


def test_a_state_that_is_known_is_asked_for_and_not_sent_again(calendar_server: CalendarServer):
    calendar_server.answer = (304, {}, b"")
    known = {"etag": '"7"', "modified": "Fri, 27 Nov 2026 12:00:00 GMT"}
    assert fetch(calendar_server.url, {}, known) is None
    [(_, headers)] = calendar_server.asked
    assert headers["if-none-match"] == '"7"'
    assert headers["if-modified-since"] == "Fri, 27 Nov 2026 12:00:00 GMT"


def test_unchanged_is_no_answer_to_somebody_who_knows_nothing(calendar_server: CalendarServer):
    calendar_server.answer = (304, {}, b"")
    assert "status 304" in refusal(calendar_server.url)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_refusal_names_the_server_and_its_status(calendar_server: CalendarServer, status: int):
    calendar_server.answer = (status, {}, TEXT)
    assert refusal(calendar_server.url) == f"{calendar_server.url} answered with status {status}"


@pytest.mark.parametrize(
    "body", [b"<!DOCTYPE html><form>Sign in</form>", b"", TEXT[:-20], TEXT.replace(b"END:VEVENT\r\n", b"")]
)
def test_what_is_no_whole_calendar_is_not_taken_for_one(calendar_server: CalendarServer, body: bytes):
    calendar_server.answer = (200, {}, body)
    assert "is expected" in refusal(calendar_server.url)


def test_an_answer_that_breaks_off_is_none(calendar_server: CalendarServer):
    calendar_server.answer = (200, {"Content-Length": str(len(TEXT) + 1000)}, TEXT)
    assert "not to the end" in refusal(calendar_server.url)


def test_more_than_the_limit_is_not_read(calendar_server: CalendarServer):
    def endless(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(TEXT)
        while not calendar_server.ended.is_set():
            try:
                handler.wfile.write(b"X-MORE:" + b"x" * 60_000 + b"\r\n")
            except OSError:
                return

    calendar_server.answer = endless
    assert "more than 100,000 bytes" in refusal(calendar_server.url, most_bytes=100_000)


@pytest.mark.parametrize("chunked", [False, True])
def test_what_comes_compressed_and_in_pieces_is_put_together(calendar_server: CalendarServer, chunked: bool):
    def pieces(handler) -> None:
        body = gzip.compress(TEXT)
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))))
        handler.end_headers()
        for byte in body:
            handler.wfile.write(b"1\r\n%c\r\n" % byte if chunked else bytes([byte]))
            handler.wfile.flush()
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")

    calendar_server.answer = pieces
    found = fetch(calendar_server.url, {}, {})
    assert found is not None
    assert found.content.encode() == TEXT.replace(b"\r\n", b"\n")


def test_a_small_answer_that_is_huge_when_it_is_unpacked_is_not_read(calendar_server: CalendarServer):
    calendar_server.answer = (200, {"Content-Encoding": "gzip"}, gzip.compress(TEXT + b"x" * 50_000_000))
    assert "more than 4,000,000 bytes" in refusal(calendar_server.url)


def test_one_that_sends_a_byte_now_and_then_does_not_hold_the_task(calendar_server: CalendarServer, monkeypatch):
    def dripping(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not calendar_server.ended.wait(0.02):
            handler.wfile.write(b"B")

    calendar_server.answer = dripping
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.2)
    assert "did not send all of it" in refusal(calendar_server.url)


def test_one_that_never_answers_is_left(calendar_server: CalendarServer, monkeypatch):
    calendar_server.answer = lambda handler: calendar_server.ended.wait() and None
    monkeypatch.setattr(module, "READ_SECONDS", 0.1)
    assert "did not answer" in refusal(calendar_server.url)


def test_one_that_is_not_there_is_told(calendar_server: CalendarServer):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refusal(f"http://127.0.0.1:{port}").startswith(f"http://127.0.0.1:{port} did not answer")


def test_credentials_follow_to_the_same_server_and_to_no_other(
    calendar_server: CalendarServer, other_server: CalendarServer
):
    other_server.answer = (200, {}, TEXT)

    def here(handler) -> None:
        handler.send_response(302)
        there = f"{other_server.url}/c.ics" if handler.path == "/b.ics" else "/b.ics"
        handler.send_header("Location", there)
        handler.end_headers()

    calendar_server.answer = here
    assert fetch(f"{calendar_server.url}/a.ics", SECRETS, {}) is not None
    assert [path for path, _ in calendar_server.asked] == ["/a.ics", "/b.ics"]
    assert calendar_server.asked[1][1]["x-api-key"] == "pear-tree-7"
    [(path, headers)] = other_server.asked
    assert path == "/c.ics"
    assert not {"authorization", "x-api-key", "cookie"} & headers.keys()


def test_credentials_of_the_users_netrc_are_not_sent(calendar_server: CalendarServer, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    calendar_server.answer = (200, {}, TEXT)
    fetch(calendar_server.url, {}, {})
    assert "authorization" not in calendar_server.asked[0][1]


@pytest.mark.parametrize("there", ["/again.ics", "file:///etc/passwd", "ftp://127.0.0.1/a.ics"])
def test_redirects_without_end_and_to_something_else_are_refused(calendar_server: CalendarServer, there: str):
    calendar_server.answer = (302, {"Location": there}, b"")
    assert "redirects" in refusal(calendar_server.url)
    assert len(calendar_server.asked) <= outbound.MOST_REDIRECTS + 1


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ("https://a.example/x", "https://a.example:443/y", True),
        ("http://a.example/x", "https://a.example/y", True),
        ("https://a.example/x", "http://a.example/y", False),
        ("https://a.example/x", "https://a.example:8443/y", False),
        ("https://a.example/x", "https://a.example.org/y", False),
        ("http://a.example:8080/x", "https://a.example/y", False),
    ],
)
def test_which_server_is_the_same(here: str, there: str, same: bool):
    assert outbound._same_server(here, there) is same


class Client:
    """What boto3's client is asked, without AWS."""

    def __init__(self, **answer) -> None:
        self.answer = answer

    def get_document(self, Name: str):
        return self.answer


def test_a_document_of_another_type_is_no_calendar():
    with pytest.raises(NotFetched, match="ChangeCalendar is expected, found ops of type Automation"):
        change_calendar(Client(DocumentType="Automation", Content="{}"), "ops")
    assert change_calendar(Client(DocumentType="ChangeCalendar", Content=TEXT.decode()), "ops").content
