"""What the overview and the page of a release cost with many apps, beside plain queries of the same rows, and what people who look cost."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from benchmarks.table import Skip, load, table

APPS, RELEASES, SAMPLES = 500, 20_000, 5_000_000
RUNNING = 20
RUNS, VIEWERS, SECONDS = 21, 50, 20.0
EACH = RELEASES // APPS

_RELEASE = "'release_app_' || a || '/run-' || n || '#0'"
_OUTCOME = f"CASE WHEN n = {EACH} AND a <= {RUNNING} THEN NULL WHEN n % 7 = 0 THEN 'rolled_back' ELSE 'released' END"
_ALL = f"generate_series(1, {APPS}) a, generate_series(1, {EACH}) n"
# Nothing but numbers and names of our own stands in these texts.
FILL = (
    f"""INSERT INTO releases (id, app, dag_id, run_id, version, digest, image, requester, outcome, sentence, started_at, ended_at,
    promoted_at, schema_version) SELECT {_RELEASE}, 'app-' || a, 'release_app_' || a, 'run-' || n || '#0', '1.' || n || '.0',
    'sha256:' || md5(a || '/' || n) || md5(n || '/' || a), 'registry.example/app', 'alice', {_OUTCOME}, 'It holds.', n * 3600 + a,
    CASE WHEN {_OUTCOME} IS NULL THEN NULL ELSE n * 3600 + a + 1800 END, CASE WHEN {_OUTCOME} = 'released' THEN n * 3600 + a + 1700 END, 2
    FROM {_ALL}""",
    f"""INSERT INTO release_events (release_id, at, kind, environment, sentence) SELECT {_RELEASE}, n * 3600 + a + e * 60,
    CASE WHEN e IN (5, 10) THEN 'deployed' ELSE 'traffic' END, CASE WHEN e < 10 THEN 'staging' ELSE 'production' END, 'It went on.'
    FROM {_ALL}, generate_series(1, 20) e""",
    f"""INSERT INTO release_approvals (release_id, digest, decision, by, at) SELECT {_RELEASE}, 'sha256:' || md5(a || '/' || n)
    || md5(n || '/' || a), 'approved', 'bob', n * 3600 + a + 600 FROM {_ALL}""",
    f"""INSERT INTO release_measurements (release_id, environment, step, metric, at, value, bad, total) SELECT {_RELEASE}, 'production',
    'step_10', 'errors', n * 3600 + a + s, 0.01, 1, 100 FROM {_ALL}, generate_series(1, {SAMPLES // RELEASES}) s""",
    f"""INSERT INTO release_observations (app, environment, looked_at, observed_at, digest, version, since, data) SELECT 'app-' || a, e,
    extract(epoch FROM now()) + 86400, extract(epoch FROM now()) + 86400, 'sha256:' || md5(a || '/1') || md5('1/' || a), '1.1.0', 3600 + a,
    json_build_object('release', 'release_app_' || a || '/run-1#0', 'tracks', json_build_array(json_build_object('track', 'stable', 'weight',
    100, 'ready', 2, 'wanted', 2)), 'health', json_build_object('state', 'ok', 'at', 1.0, 'sentence', 'errors: 0.1 % of 1,000'))
    FROM generate_series(1, {APPS}) a, unnest(ARRAY['staging', 'production']) e""",
)
PLAIN = {
    "overview": (
        "SELECT r.* FROM releases r JOIN (SELECT app, max(ended_at) AS at FROM releases GROUP BY app) l ON l.app = r.app AND l.at = r.ended_at",
        "SELECT * FROM releases WHERE outcome IS NULL",
        "SELECT * FROM release_observations",
    ),
    "a release": tuple(
        f"SELECT * FROM {name} WHERE release_id = 'release_app_7/run-9#0'"
        for name in (
            "release_events",
            "release_measurements",
            "release_verdicts",
            "release_approvals",
            "release_commands",
        )
    ),
}
PATHS = {"overview": "/releases/", "a release": "/releases/runs/release_app_7/run-9%230"}


class Server(NamedTuple):
    """A server that runs; the logins are those of its viewers."""

    port: int
    pid: int
    logins: list[str]


def main() -> None:
    """Fill a history, then look at it."""
    from tests.databases import new_database, running_postgres

    with tempfile.TemporaryDirectory() as home:
        try:
            with running_postgres() as server:
                database = new_database(server)
                begun = time.monotonic()
                fill(database)
                print(
                    f"  {APPS} apps, {RELEASES:,} releases and {SAMPLES:,} samples were made in {time.monotonic() - begun:.0f} s"
                )
                with serving(database, home) as it:
                    measure(database, it)
        except LookupError as missing:
            raise Skip(str(missing)) from missing


def fill(database: str) -> None:
    """A history with many apps."""
    from sqlalchemy import create_engine, text

    from release_pipelines.adapters.history import open_history

    open_history(database)
    with create_engine(database, isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in FILL:
            connection.execute(text(statement))
        connection.execute(text("ANALYZE"))


@contextmanager
def serving(database: str, home: str) -> Iterator[Server]:
    """A server that has the pages only."""
    from sqlalchemy import make_url

    url = make_url(database)
    connection = {
        "conn_type": "postgres",
        "host": url.host,
        "port": url.port,
        "login": url.username,
        "schema": url.database,
    }
    env = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW_CONN_RELEASE_HISTORY": json.dumps(connection)}
    env |= {"AIRFLOW__API_AUTH__JWT_SECRET": SECRET, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    env["AIRFLOW__CORE__AUTH_MANAGER"] = "tests.pages.people.AuthManager"
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.pages"], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        said = next((it for it in server.stdout if it.startswith(READY)), None)
        if said is None:
            raise Skip("the server does not start")
        threading.Thread(target=server.stdout.read, daemon=True).start()
        port, logins = json.loads(said.removeprefix(READY))
        yield Server(port, server.pid, logins)
    finally:
        server.terminate()
        server.wait(60)


READY = "ready "
SECRET = "a-secret-of-sixty-four-letters-that-signs-the-tokens-of-benchmarks"


def serve() -> None:
    """In a process of its own: the mount, and people who may read every DAG."""
    import socket

    import uvicorn
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb
    from fastapi import FastAPI

    from release_pipelines.pages.app import create
    from tests.pages import people

    initdb()
    manager = create_auth_manager()
    names = [f"viewer-{n}" for n in range(VIEWERS)]
    people.READ.update({it: {"*"} for it in names})
    logins = [manager.generate_jwt(SimpleAuthManagerUser(username=it, role="viewer")) for it in names]
    app = FastAPI()
    app.mount("/releases", create())
    listening = socket.create_server(("127.0.0.1", 0))
    print(READY + json.dumps([listening.getsockname()[1], logins]), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listening])


def measure(database: str, server: Server) -> None:
    """Print both tables."""
    import httpx
    import psycopg2

    plain = psycopg2.connect(database.replace("+psycopg2", ""))
    client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=signed_in(server.logins[0]), timeout=120)
    rows = []
    for name, path in PATHS.items():
        answer = client.get(path)
        if answer.status_code != 200:
            raise Skip(f"{path} answers {answer.status_code}")
        page = timed(lambda path=path: client.get(path))
        queries = timed(lambda name=name: asked(plain, PLAIN[name]))
        rows.append(
            [name, f"{page:.0f}", f"{queries:.0f}", f"{page / queries:.1f}", f"{len(answer.content) / 1024:.0f}"]
        )
    table("Milliseconds, medians", ["", "page", "plain query", "ratio", "KiB"], rows)
    plain.close()
    shares = [[str(n), f"{cost(server, n):.1f}"] for n in (0, 1, VIEWERS)]
    table(f"The server's share of a core in {SECONDS:.0f} s, percent", ["who look", ""], shares)
    load()


def timed(ask: Callable[[], Any]) -> float:
    """The median of some answers, in milliseconds."""
    took = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def asked(connection: Any, queries: tuple[str, ...]) -> None:
    """All rows of some queries."""
    with connection.cursor() as cursor:
        for it in queries:
            cursor.execute(it)
            cursor.fetchall()


def signed_in(login: str) -> dict[str, str]:
    """The header of somebody who has signed in."""
    return {"authorization": f"Bearer {login}"}


def cost(server: Server, viewers: int) -> float:
    """What so many people who look cost, in percent of a core, when all of them have the whole page."""
    done = threading.Event()
    threads = [
        threading.Thread(target=look, args=(server.port, it, done), daemon=True) for it in server.logins[:viewers]
    ]
    for it in threads:
        it.start()
    time.sleep(SECONDS / 2)
    before, begun = cpu(server.pid), time.monotonic()
    time.sleep(SECONDS)
    spent = (cpu(server.pid) - before) / (time.monotonic() - begun) * 100
    done.set()
    for it in threads:
        it.join(40)
    return spent


def look(port: int, login: str, done: threading.Event) -> None:
    """One browser: takes its stream up again whenever it ends."""
    import httpx

    address = f"http://127.0.0.1:{port}/releases/stream"
    while not done.is_set():
        with httpx.stream("GET", address, headers=signed_in(login), timeout=60) as stream:
            for _ in stream.iter_bytes():
                if done.is_set():
                    return
        done.wait(1)


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    serve()
