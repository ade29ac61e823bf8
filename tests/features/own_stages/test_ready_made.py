"""Ready-made stages against real servers: load, and what the answers of an app say about its security."""

from __future__ import annotations

import datetime
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.history import History
from release_pipelines.adapters.site import k6
from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.features.own_stages.operators.looking import WebSecurityStageOperator
from release_pipelines.features.own_stages.operators.performance import PerformanceStageOperator
from tests.fakes import target
from tests.features.helpers import Ti

needs_k6 = pytest.mark.skipif(k6.k6() is None, reason="not run: k6 not on this machine")
GOOD = Artifact(app="shop", version="1.0.0", image="registry/shop", digest="sha256:" + "a" * 64)
NEW = Artifact(app="shop", version="1.1.0", image="registry/shop", digest="sha256:" + "b" * 64)
SAFE = {
    "Content-Type": "text/html",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Site:
    """A real server; ``fails`` says which of its answers are 500, by their number."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        site = self
        self.headers: list[tuple[str, str]] = list(SAFE.items())
        self.status = 200
        self.body = b""
        self.asked: list[tuple[str, str | None]] = []
        self.fails: Callable[[int], bool] = lambda number: False

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def version_string(self) -> str:
                return "site"

            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers["Host"]))
                self.send_response(500 if site.fails(len(site.asked)) else site.status)
                for name, value in site.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(site.body)))
                self.end_headers()
                self.wfile.write(site.body)

            def log_message(self, *args: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # whoever asks in an old version of TLS is refused

        self.server = Quiet(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    made = HistoryHook().history()
    for release, artifact in (("good", GOOD), ("new", NEW)):
        made.begin(release, "shop", "release_shop", release, artifact.version, "alice")
        made.record_artifact(release, artifact)
    return made


def did_hold(history: History) -> None:
    history.promoted("good")
    history.finish("good", "released", "Released 1.0.0.")


def run(kind: Any, url: str, options: dict[str, Any], release: str = "new", **more: Any) -> OwnStageResult | str:
    artifact = NEW if release == "new" else GOOD
    at = target(environment="staging").model_copy(update={"url": url, **more})
    operator = kind(task_id="look", options=options, target=at, artifact=artifact.model_dump(), release=release)
    context = {"ti": Ti("look"), "dag_run": SimpleNamespace(clear_number=0)}
    try:
        return OwnStageResult.model_validate(operator.execute(context))
    except AirflowFailException as error:
        return str(error)


FAST = {"paths": ["/", "/cart"], "rate": 100, "duration": 2, "clients": 10}


def load(site: Site, release: str = "new", **more: Any) -> OwnStageResult | str:
    site.asked.clear()
    return run(PerformanceStageOperator, site.url, {**FAST, **more}, release)


@needs_k6
def test_a_version_that_bears_the_load_passes_and_hands_its_numbers_on(site: Site, history: History) -> None:
    result = load(site)
    assert isinstance(result, OwnStageResult), result
    assert result.succeeded
    assert result.values["errors"][0] == 0
    assert result.values["errors"][1] >= 190
    assert result.values["compared"] is False
    assert "the last good release has no numbers to compare with" in result.sentence
    assert {path for path, _ in site.asked} == {"/", "/cart"}


@needs_k6
def test_more_failed_requests_than_the_limit_fail(site: Site, history: History) -> None:
    site.fails = lambda number: number % 10 == 0
    failure = load(site)
    assert isinstance(failure, str)
    assert "limit 1 %" in failure or "limit 1%" in failure


@needs_k6
def test_within_the_limit_but_surely_worse_than_the_last_good_release_fails(site: Site, history: History) -> None:
    generous = {"errors": 0.5}
    assert isinstance(load(site, "good", **generous), OwnStageResult)
    did_hold(history)
    site.fails = lambda number: number % 5 == 0
    failure = load(site, **generous)
    assert isinstance(failure, str)
    assert "surely more than 1.05 times stable's" in failure
    assert "beside the last good release" in failure
    same = {**generous, "rate": 80}
    other = load(site, **same)  # another test: its numbers say nothing about this one
    assert isinstance(other, OwnStageResult)
    assert "which was asked for something else" in other.sentence


@needs_k6
def test_a_script_with_a_threshold_that_is_kept_passes_and_one_that_is_crossed_fails(
    site: Site, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the summary `false` means that it was kept."""
    monkeypatch.setenv("RELEASE_PIPELINES_LOAD", str(tmp_path))
    script = (
        "import http from 'k6/http';\n"
        "export const options = {vus: 2, iterations: 60, thresholds: {http_req_duration: ['p(95)<LIMIT']}};\n"
        "export default function () { http.get(__ENV.BASE_URL + '/own'); }\n"
    )
    (tmp_path / "own.js").write_text(script.replace("LIMIT", "60000"))
    kept = load(site, script="own.js", min_requests=50)
    assert isinstance(kept, OwnStageResult), kept
    assert "slow is not counted by this script" in kept.sentence
    (tmp_path / "own.js").write_text(script.replace("LIMIT", "0.0001"))
    crossed = load(site, script="own.js", min_requests=50)
    assert isinstance(crossed, str)
    assert "crossed http_req_duration: p(95)<0.0001" in crossed


@needs_k6
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"min_requests": 100_000}, "at least 100000 are needed|at least 100,000 are needed"),
        ({"script": "none.js"}, "No such file|there is no script"),
        ({"script": "../secret.js"}, "script does not fit: .*a path that stays in the folder is expected"),
        ({"script": "linked.js"}, "The script linked.js is not in"),
        ({"script": "broken.js"}, "k6 ended with exit code 107|k6 ended with exit code"),
        ({"script": "idle.js"}, "no request was sent"),
        ({"duration": 60, "timeout": 1}, "it took longer than"),
    ],
)
def test_what_was_not_measured_is_no_pass(
    site: Site, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], why: str
) -> None:
    import re

    monkeypatch.setenv("RELEASE_PIPELINES_LOAD", str(tmp_path))
    (tmp_path / "broken.js").write_text("export default function () {")
    (tmp_path / "idle.js").write_text("export default function () {}")
    (tmp_path / "linked.js").symlink_to(Path(__file__))
    seconds = options.pop("timeout", 60)
    at = target(environment="staging").model_copy(update={"url": site.url})
    operator = PerformanceStageOperator(
        task_id="look",
        options={**FAST, **options},
        target=at,
        artifact=NEW.model_dump(),
        release="new",
        timeout=seconds,
    )
    with pytest.raises(AirflowFailException) as failed:
        operator.execute({"ti": Ti("look")})  # type: ignore[arg-type,typeddict-item]
    assert re.search(why, str(failed.value)), failed.value


def test_a_worker_without_k6_measures_nothing(site: Site, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k6, "k6", lambda: None)
    failure = load(site)
    assert failure == (
        "The load could not be measured: k6 is missing on this worker (install release-pipelines[performance])."
    )


def web(site: Site, **options: Any) -> OwnStageResult | str:
    return run(WebSecurityStageOperator, site.url, options)


def test_answers_with_all_headers_are_clean_and_kept_as_a_scan(site: Site, history: History) -> None:
    result = web(site, paths=["/", "/cart"])
    assert isinstance(result, OwnStageResult), result
    assert (result.succeeded, result.sentence) == (True, "found nothing")
    assert kept_results(history, "new")["look"][0].status == "clean"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"X-Content-Type-Options": None}, "x-content-type-options"),
        ({"Content-Security-Policy": None, "X-Frame-Options": "DENY"}, "content-security-policy"),
        ({"Content-Security-Policy": "default-src *; frame-ancestors 'none'"}, "content-security-policy"),
        ({"Content-Security-Policy": "script-src 'unsafe-inline'; frame-ancestors 'none'"}, "content-security-policy"),
        ({"Content-Security-Policy": "img-src 'self'; frame-ancestors 'none'"}, "content-security-policy"),
        ({"Content-Security-Policy": "default-src 'self'"}, "x-frame-options"),
        ({"Set-Cookie": "id=1"}, "set-cookie"),
        (
            {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"},
            "access-control-allow-origin",
        ),
    ],
)
def test_what_an_answer_lacks_fails_by_its_severity_and_may_be_accepted(
    site: Site, history: History, change: dict[str, str | None], rule: str
) -> None:
    site.headers = [(name, value) for name, value in {**SAFE, **change}.items() if value is not None]
    failure = web(site, block_on="medium")
    assert isinstance(failure, str)
    assert f"like {rule} in /: " in failure
    assert [it.rule for it in kept_results(history, "new")["look"][0].findings] == [rule]
    accepted = web(site, block_on="medium", accept=[rule])
    assert isinstance(accepted, OwnStageResult)
    assert accepted.succeeded


def test_a_nonce_makes_unsafe_inline_harmless_and_what_is_no_page_needs_no_policy(site: Site, history: History) -> None:
    policy = "script-src 'nonce-abc' 'unsafe-inline'; frame-ancestors 'none'"
    site.headers = list({**SAFE, "Content-Security-Policy": policy}.items())
    assert isinstance(web(site, block_on="low"), OwnStageResult)
    site.headers = [("Content-Type", "application/json"), *list(SAFE.items())[1:2], ("Referrer-Policy", "no-referrer")]
    assert isinstance(web(site, block_on="low"), OwnStageResult)


def test_an_app_that_does_not_answer_or_answers_with_an_error_is_unknown(site: Site, history: History) -> None:
    site.status = 503
    assert web(site) == "look could not look: / answers 503: its headers are not those that people get."
    assert kept_results(history, "new")["look"][0].status == "unknown"
    nobody = run(WebSecurityStageOperator, "http://127.0.0.1:1", {})
    assert "/ has no answer (ConnectionError)" in str(nobody)


@pytest.mark.parametrize("kind", [WebSecurityStageOperator, PerformanceStageOperator])
def test_a_person_who_aborts_the_release_ends_a_stage(site: Site, history: History, kind: Any) -> None:
    if kind is PerformanceStageOperator and k6.k6() is None:
        pytest.skip("not run: k6 not on this machine")
    history.command("new", "abort", "bob", "wrong prices")
    options = {} if kind is WebSecurityStageOperator else {**FAST, "duration": 60}
    assert run(kind, site.url, options) == "bob aborted it: wrong prices"


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    """A key and a certificate of 127.0.0.1 that trusts itself."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("days", "trusted", "old", "rules"),
    [
        (90, True, False, []),
        (5, True, False, ["certificate"]),
        (90, False, False, ["certificate"]),
        (-5, True, False, ["certificate"]),
        (90, True, True, ["tls-version", "tls-version"]),
    ],
)
def test_certificates_and_versions_of_tls_are_looked_at(
    tmp_path: Path,
    history: History,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    trusted: bool,
    old: bool,
    rules: list[str],
) -> None:
    cert, key = certificate(tmp_path, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.load_cert_chain(cert, key)
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    site = Site(context)
    try:
        site.headers = [*SAFE.items(), ("Strict-Transport-Security", "max-age=31536000")]
        web(site)
    finally:
        site.close()
    assert [it.rule for it in kept_results(history, "new")["look"][0].findings] == rules


def test_https_without_strict_transport_security_is_found(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path, 90)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    site = Site(context)
    try:
        assert "like strict-transport-security" in str(web(site, block_on="medium"))
        site.headers = [
            *SAFE.items(),
            ("Strict-Transport-Security", "max-age=31536000"),
            ("Set-Cookie", "a=1; HttpOnly; SameSite=Lax"),
        ]
        assert "set without Secure" in str(web(site, block_on="medium"))
    finally:
        site.close()


def browser_is_here() -> bool:
    from shutil import which

    return AXE is not None and which("chromium") is not None


AXE = os.environ.get("TEST_AXE")
"""The file axe.min.js of npm's axe-core."""


@pytest.mark.skipif(
    not browser_is_here(), reason="not run: chromium, or the axe.min.js that TEST_AXE names, not on this machine"
)
def test_a_page_that_a_screen_reader_cannot_read_fails(
    site: Site, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.features.own_stages.operators.looking import AccessibilityStageOperator

    monkeypatch.setenv("RELEASE_PIPELINES_AXE", str(AXE))
    site.headers = [("Content-Type", "text/html")]
    site.body = (
        b"<html lang=en><head><title>Shop</title></head><body><main><h1>Shop</h1><img src=a.png></main></body></html>"
    )
    failure = run(AccessibilityStageOperator, site.url, {}, host="shop.example")
    assert "like image-alt in /: " in str(failure)
    assert "shop.example" in str(site.asked[0][1])
    site.body = b"<html lang=en><head><title>Shop</title></head><body><main><h1>Shop</h1></main></body></html>"
    assert isinstance(run(AccessibilityStageOperator, site.url, {}), OwnStageResult)
    site.status = 404
    assert str(run(AccessibilityStageOperator, site.url, {})) == "look could not look: / answers 404."


def test_without_axe_nobody_has_looked(
    site: Site, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.features.own_stages.operators.looking import AccessibilityStageOperator

    monkeypatch.setenv("RELEASE_PIPELINES_AXE", str(tmp_path / "axe.min.js"))
    assert "axe.min.js of axe-core is expected there" in str(run(AccessibilityStageOperator, site.url, {}))
    assert kept_results(history, "new")["look"][0].status == "unknown"


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (0, "PASS", "found nothing"),
        (2, "WARN", "found 1 medium"),
        (1, "FAIL", "found 1 high (from high on it fails), like zap-10020: Bad, 2 times."),
        (3, "FAIL", r"look could not look: ZAP did not run (exit code 3)."),
        (None, "PASS", "look could not look: ZAP did not run (exit code -1)."),
    ],
)
def test_zaps_exit_codes_are_findings_warnings_and_that_it_did_not_run(
    history: History, code: int | None, text: str, told: str
) -> None:
    from release_pipelines.core.model.base import to_json
    from release_pipelines.features.own_stages.operators.looking import ZapStageOperator

    counts = {kind: int(kind == text) for kind in ("FAIL", "WARN")}
    output = f"Total of 4 URLs\n{text}-NEW: Bad [10020] x 2\n" if text != "PASS" else "Total of 4 URLs\n"
    output += f"FAIL-NEW: {counts['FAIL']}\tFAIL-INPROG: 0\tWARN-NEW: {counts['WARN']}\tWARN-INPROG: 0\tINFO: 0\tIGNORE: 0\tPASS: 50\n"
    operator = ZapStageOperator(
        task_id="look",
        options={"image": f"zap@{NEW.digest}"},
        target=target(),
        artifact=NEW.model_dump(),
        release="new",
    )
    came = OwnStageResult(succeeded=code in (0, 1, 2), sentence="x", exit_code=code, ended=code is not None)
    event = {"result": to_json(came), "output": output}
    try:
        sentence = OwnStageResult.model_validate(operator.ended({"ti": Ti("look")}, event)).sentence  # type: ignore[arg-type,typeddict-item]
    except AirflowFailException as error:
        sentence = str(error)
    assert sentence.lower() == told.lower()


def test_zap_is_run_in_its_own_image_against_the_apps_host(history: History) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    from release_pipelines.features.own_stages.operators.looking import ZapStageOperator

    at = target().model_copy(update={"host": "shop.example"})
    operator = ZapStageOperator(
        task_id="look",
        options={"image": f"zap@{NEW.digest}", "path": "/cart"},
        target=at,
        artifact=NEW.model_dump(),
        release="new",
    )
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({"ti": Ti("look")})  # type: ignore[arg-type,typeddict-item]
    arguments = deferred.value.trigger.serialize()[1]
    assert arguments["image"] == f"zap@{NEW.digest}"
    assert arguments["command"][:5] == ["zap-baseline.py", "-t", "http://127.0.0.1:1/cart", "-m", "1"]
    assert "replacement=shop.example" in arguments["command"][-1]
    operator.target = target().model_copy(update={"host": "a -config api.disablekey=true"})
    with pytest.raises(AirflowFailException, match="cannot be given to ZAP"):
        operator.execute({"ti": Ti("look")})  # type: ignore[arg-type,typeddict-item]
