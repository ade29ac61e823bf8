"""All of the sandbox: up, down, status, empty."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox import airflow, cluster, engine, processes, sample, services, watch
from sandbox.settings import AIRFLOW, PROMETHEUS, ROOT, STATE, TRAEFIK_API, SandboxError

KEPT = {"cache", "tools", "lock"}
"""What `down` leaves in .sandbox/: downloads, uv, and who uses it alone."""


@contextmanager
def alone() -> Iterator[None]:
    """Use the sandbox alone: a demo and a test run would forget each other's releases. Waits until it is free."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting until another demo or test run is done with the sandbox")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(place: cluster.Cluster | None = None, folders: Mapping[str, Path] | None = None) -> None:
    """Start everything that does not run yet.

    :param place: the cluster that releases go to; None: containers on this machine.
    :param folders: where other files than those in ``include`` are: ``apps``, ``calendars`` or ``trains`` to a folder.
    """
    print("Container engine")
    engine_url = engine.start()
    image = engine.base_image(engine_url)
    print("Registry, state store, proxy, metrics, database")
    services.start_all()
    if place:
        place.start()
    services.start_host_keeper(engine_url)
    sample.make()
    services.keep_traffic(place.entry if place else None)
    print("Airflow")
    extra = {f"RELEASE_PIPELINES_{name.upper()}": str(folder) for name, folder in (folders or {}).items()}
    airflow.start(airflow.variables(engine_url, image, (place.variables() if place else {}) | extra))
    processes.start(watch.NAME, [sys.executable, "-m", "sandbox", "watch"])
    print(f"Everything runs. Airflow: {AIRFLOW}")


def down() -> None:
    """End everything that was started, and remove what it left."""
    processes.stop(watch.NAME, services.HOST_KEEPER)  # they would bring back what ends
    with suppress(SandboxError):  # no engine, no containers
        engine.remove_app_containers(engine.url())
    try:
        cluster.remove()
    except SandboxError as error:  # the cluster may be gone
        print(error)
    airflow.stop()
    processes.stop(*(name for name in processes.names() if name != "engine"))
    engine.stop()
    for path in list(STATE.iterdir()) if STATE.exists() else ():
        if path.name not in KEPT:  # another `make down` may be at it, too
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, onerror=_unless_gone)
            else:
                path.unlink(missing_ok=True)
    for path in (STATE / name for name in ("cache",)):
        if path.exists():
            print(f"Downloads are kept in {path.relative_to(ROOT)}/")
    print("Everything has stopped.")


def _unless_gone(function: object, path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def empty(place: cluster.Cluster | None = None) -> None:
    """No releases, no images, no app: as after the first start, but with everything running."""
    airflow.forget_runs()
    services.empty_store()  # first: what stands there is brought back
    engine.remove_app_containers(engine.url())
    services.empty_history()
    services.empty_registry()
    if place:
        place.empty()
    shutil.rmtree(airflow.HOME / "release_pipelines", ignore_errors=True)
    services.start_traffic(place.entry if place else None)


def status() -> bool:
    """Print what runs; returns whether all of it does."""
    names = processes.names()
    for name in names:
        process = processes.find(name)
        state = f"pid {process.pid}" if process else f"has ended: {processes.LOG / f'{name}.log'}"
        times = processes.restarts(name)
        print(f"{name:24}{state}{f'   restarted {times} times' if times > 1 else '   restarted once' if times else ''}")
    if not names:
        print("Nothing runs. `make demo` starts everything.")
    else:
        print(f"Airflow {AIRFLOW}   Traefik {TRAEFIK_API}/dashboard/   Prometheus {PROMETHEUS}")
    return bool(names) and all(processes.find(name) for name in names)
