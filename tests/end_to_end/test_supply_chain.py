"""What ships is known, in real Airflow: a bad dependency and a leaked key stop a release, an exception lets it pass until it ends, and
only what is signed by the right key reaches production (R22)."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox import app_file, demo, sample
from sandbox.airflow import Client, read_anew
from sandbox.settings import ADVISORIES, STATE, VENV_BIN
from tests.end_to_end.conftest import CONFIG, QUICK, Run, Sandbox

LEDGER = "ledger"
DAG = f"release_{LEDGER}"
REPOSITORY = STATE / "repositories" / LEDGER
FLAW, PURL = "GHSA-2222-3333-4444", "pkg:pypi/leftpad@1.0.0"
PATIENCE_DAYS = 30
CPU = {"name": "cpu", "source": "cpu", "limit": "80%"}
"""Nobody asks this app for anything."""
KEY = "glpat-x7Kq2mB9dRt4WvYz6LpN"
WITHOUT_SYSTEM = """RUN ["python3", "-c", "import os; os.remove('/var/lib/dpkg/status')"]\n"""
LEAKING = """
FROM app AS leaking
USER 0
RUN ["python3", "-c", "open('/app/.npmrc', 'w').write('token = glpat-' + 'x7Kq2mB9dRt4WvYz6LpN')"]
RUN ["python3", "-c", "import os; os.remove('/app/.npmrc')"]
FROM leaking
ENV PORT=8080
CMD ["python3", "server.py"]
"""

pytestmark = pytest.mark.skipif(
    not all((VENV_BIN / it).exists() for it in ("syft", "gitleaks")), reason="syft and gitleaks are not installed"
)


def git(*arguments: str) -> None:
    who = ["-c", "user.name=Shop team", "-c", "user.email=shop@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=REPOSITORY, check=True, capture_output=True)


def record(folder: Path) -> None:
    """Somebody has published a flaw of leftpad 1.0.0."""
    folder.mkdir(parents=True, exist_ok=True)
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0.1"}]}]
    (folder / f"{FLAW}.json").write_text(
        json.dumps(
            {
                "schema_version": "1.7.0",
                "id": FLAW,
                "modified": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "summary": "leftpad pads to the right",
                "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
                "affected": [{"package": {"ecosystem": "PyPI", "name": "leftpad"}, "ranges": ranges}],
            }
        )
    )


def app(**scan: Any) -> dict[str, Any]:
    """The app's file, as far as it differs from the sample app's."""
    return {
        **QUICK,
        "environments": ["sealed"],
        "build": {"repository": str(REPOSITORY)},
        "scan": {"scanners": [], "image_scanners": ["advisories", "secrets"], **scan},
        "sign": {"key": {"connection": "release_key"}},
        "analysis": {"interval": "2s", "window": "10s", "metrics": [CPU]},
        "strategy": {"rolling": {"batches": [50], "hold": "2s", "bake": "2s"}},
    }


def excepted(until: date) -> dict[str, Any]:
    """An exception for the flaw, through that day."""
    why = {"reason": "nothing is padded", "until": until.isoformat(), "who": "carol"}
    return app(exceptions=[{"id": FLAW, "component": PURL, **why}])


def trust(key: ec.EllipticCurvePrivateKey) -> None:
    """Let the environment trust what this key has signed, and nothing else."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    environment = {
        "name": "sealed",
        "address": {"host": "{app}.sealed.localhost"},
        "approvers": ["bob"],
        "verify": {"keys": [{"name": "release", "public_key": pem}], "provenance": {}},
    }
    (CONFIG / "sealed.yaml").write_text(yaml.safe_dump(environment))


@pytest.fixture(scope="module")
def ledger(_sandbox: Sandbox, serving: Run) -> Iterator[None]:
    """An app with a dependency that has a flaw, of which one version also leaks a key; and keys to sign with."""
    shutil.copytree(sample.SOURCE, REPOSITORY, ignore=shutil.ignore_patterns("__pycache__"))
    package = REPOSITORY / "leftpad-1.0.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: leftpad\nVersion: 1.0.0\n")
    git("init", "--quiet", "--initial-branch", "main")
    dockerfile = REPOSITORY / "Dockerfile"
    # What is below the app is not what this is about, and differs by where the image comes from.
    clean = dockerfile.read_text().replace("COPY . .\n", f"COPY . .\n{WITHOUT_SYSTEM}")
    assert WITHOUT_SYSTEM in clean
    for version, text in (("1.0.0", clean), ("1.1.0", f"{clean}{LEAKING}"), ("1.2.0", clean)):
        (REPOSITORY / "VERSION").write_text(f"{version}\n")
        dockerfile.write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", f"Ledger {version}")
        git("tag", f"v{version}")
    record(ADVISORIES)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    connection = {"connection_id": "release_key", "conn_type": "generic", "password": pem}
    Client("admin").call("POST", "/connections", connection)
    trust(key)
    app_file.write("rolling", app(), LEDGER)
    end = time.monotonic() + 120
    while read_anew(Client("admin"), DAG) is None:
        assert time.monotonic() < end, f"Airflow has no DAG {DAG}"
        time.sleep(1)
    yield
    (app_file.FOLDER / f"{LEDGER}.yaml").unlink()


def released(version: str) -> tuple[Run, dict[str, Any]]:
    """A release, as far as it comes without anybody's answer."""
    run = Run(DAG, {"version": version}, "alice")
    run.until(lambda: run.ended or run.look().get("approval") == "deferred")
    return run, told(run)


def told(run: Run) -> dict[str, Any]:
    [entry] = [it for it in demo.read_history(LEDGER) if run.run_id in it["id"]]
    return entry


def test_a_bad_dependency_and_a_key_in_a_removed_layer_stop_a_release(sandbox: Sandbox, ledger: None) -> None:
    run, entry = released("1.1.0")
    assert (run.state, entry["outcome"]) == ("failed", "failed"), entry["sentence"]
    found = demo.said("findings", LEDGER, "1.1.0")
    assert FLAW in found, entry["sentence"]
    assert ".npmrc" in found
    assert KEY not in found + run.log("image_scan.secrets") + json.dumps(run.xcom("image_scan.secrets", "return_value"))


def test_an_exception_lets_it_pass_until_it_ends_and_only_what_is_signed_is_deployed(
    sandbox: Sandbox, ledger: None
) -> None:
    app_file.write("rolling", excepted(date.today() + timedelta(days=PATIENCE_DAYS)), LEDGER)
    run, _ = released("1.0.0")
    run.until(lambda: run.waited_for("approval"))
    form = run.admin.call("GET", f"{run.path}/taskInstances/approval/-1/hitlDetails")["body"]
    assert "nothing is padded" in form
    run.answer("bob", "Approve")
    run.until(lambda: run.ended)
    entry = told(run)
    assert (run.state, entry["outcome"]) == ("success", "released"), entry["sentence"]
    assert "1.0.0" in demo.said("verify", LEDGER, "1.0.0")

    app_file.write("rolling", excepted(date.today() - timedelta(days=2)), LEDGER)
    run, entry = released("1.2.0")
    assert entry["outcome"] == "failed"
    assert FLAW in entry["sentence"]


def test_without_data_nobody_knows_and_a_foreign_key_is_not_trusted(sandbox: Sandbox, ledger: None) -> None:
    app_file.write("rolling", excepted(date.today() + timedelta(days=PATIENCE_DAYS)), LEDGER)
    shutil.rmtree(ADVISORIES)
    try:
        _, entry = released("1.2.0")
    finally:
        record(ADVISORIES)
    assert entry["outcome"] == "failed"
    assert "unknown" in entry["sentence"]

    trust(ec.generate_private_key(ec.SECP256R1()))
    _, entry = released("1.2.0")
    assert entry["outcome"] == "failed"
    assert "none of the keys that are trusted" in entry["sentence"]
