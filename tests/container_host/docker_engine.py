"""A Docker Engine of the tests' own: the one of this machine's PATH, else Debian's, unpacked into a folder and run from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sandbox.settings import CACHE
from tests.container_host.stack import Stack, wait_until

FOLDER = CACHE / "docker"
PACKAGES = ("docker.io", "containerd", "docker-buildx")
BUILDX = "usr/libexec/docker/cli-plugins"
SUITE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n"
FETCH_SECONDS = 90


class NotToBeHad(Exception):
    """Why there is no Docker Engine here, as a sentence."""


def programs() -> str:
    """The PATH with the engine's programs in it."""
    own = [str(FOLDER / it) for it in ("usr/sbin", "usr/bin", BUILDX)]
    path = os.pathsep.join([*own, os.environ["PATH"], "/usr/sbin", "/sbin", f"/{BUILDX}"])
    if not all(shutil.which(name, path=path) for name in ("dockerd", "docker-buildx")):
        try:
            _fetch()
        except NotToBeHad:
            if not shutil.which("dockerd", path=path):
                raise
    missing = [name for name in ("dockerd", "containerd", "docker-proxy", "runc") if not shutil.which(name, path=path)]
    if missing or os.geteuid():
        raise NotToBeHad(f"Docker Engine needs {' and '.join(missing) or 'root'}.")
    return path


def _fetch() -> None:
    if os.geteuid() or not shutil.which("apt-get"):
        raise NotToBeHad("Docker Engine is not installed, and can be fetched by root on Debian only.")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "sources.list").write_text(SUITE)
        places = {
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": folder / "lists",
            "Dir::Cache": folder / "cache",
        }
        apt = ["apt-get", "-qq", *(part for key, value in places.items() for part in ("-o", f"{key}={value}"))]
        try:
            for command in (["update"], ["download", *PACKAGES]):
                subprocess.run([*apt, *command], cwd=folder, check=True, capture_output=True, timeout=FETCH_SECONDS)
            for package in folder.glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(package), str(folder / "unpacked")], check=True, capture_output=True)
        except (subprocess.SubprocessError, OSError) as error:
            raise NotToBeHad(f"Docker Engine is not installed, and Debian's could not be fetched: {error}") from error
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder / "unpacked", FOLDER, symlinks=True, dirs_exist_ok=True)


class Docker:
    """One engine, with all that it keeps in a folder."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.path = path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; containers with a restart policy start with it."""
        number = os.getpid() % 200 + 20
        options = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--host={self.url}"]
        options += [f"--pidfile={self.folder}/docker.pid", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        options += [f"--bip=10.233.{number}.1/24", "--config-file", str(self.folder / "daemon.json")]
        (self.folder / "daemon.json").write_text("{}")
        with (self.folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", *options], env={**os.environ, "PATH": self.path}, stdout=log, stderr=log
            )
        wait_until(self._answers, "dockerd", 60)

    def _answers(self) -> bool:
        import docker

        if self._process is None or self._process.poll() is not None:
            raise NotToBeHad(f"dockerd ended: {(self.folder / 'dockerd.log').read_text(errors='replace')[-600:]}")
        try:
            return bool(docker.DockerClient(base_url=self.url, timeout=2).ping())
        except Exception:  # errors of half a dozen libraries
            return False

    def stop(self) -> None:
        """Stop it with its containers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None


@contextmanager
def docker_engine(stack: Stack) -> Iterator[tuple[Stack, Docker]]:
    """The stack with Docker as its engine.

    :raises NotToBeHad: where there is none.
    """
    path = programs()
    folder = Path(tempfile.mkdtemp(prefix="docker-"))
    engine = Docker(folder, path)
    had_bridge = Path("/sys/class/net/docker0").exists()
    try:
        engine.start()
        yield replace(stack, engine_url=engine.url, engine=None), engine
    finally:
        engine.stop()
        subprocess.run(["umount", "--quiet", "--recursive", str(folder)], capture_output=True, check=False)
        if not had_bridge:
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
