"""Programs in containers of an image instead of on the worker: a worker then needs none of them, and they see nothing of it.

What a program looks at is copied into the container, and its report out of it, so the engine may be elsewhere. It runs without
capabilities, with the image's own user and variables, and is removed with everything that it has written.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from release_pipelines.adapters.tools import OUTPUT_BYTES, TOO_LONG, Done, NotLooked, took_too_long
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from docker import APIClient

    from release_pipelines.core.ports.builder import RegistryLogin

SETTINGS = ("TRIVY_", "GRYPE_", "SEMGREP_", "GITLEAKS_", "HADOLINT_", "CHECKOV_")
"""Beginnings of the worker's variables that a program in a container gets, too: they say what it may ask of the network."""
HERE_ONLY = ("_DIR", "_CONFIG", "_RULES", "_TOKEN", "_PASSWORD", "_SECRET", "_KEY")
"""Ends of those that it does not get: folders of the worker, and secrets."""
LABEL = {"release-pipelines.scan": "true"}
PROCESSES = 4096


class Container:
    """Where programs run: a container of an image for each.

    :param client: of the engine; its silence is not limited by less than a program may take.
    :param image: by digest.
    :param login: of the image's registry; None: it asks for none.
    """

    def __init__(self, client: APIClient, image: str, login: RegistryLogin | None = None) -> None:
        self.client = client
        self.image = image
        self.login = login

    def lacking(self, command: str, hint: str) -> str | None:
        """Nothing: whether the image has the program shows when it is started."""
        return None

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        limits: Limits,
        given: bytes | None,
        environment: Mapping[str, str],
        reads: Sequence[Path],
        writes: Sequence[Path],
    ) -> Done:
        """Run a program; see :func:`release_pipelines.adapters.tools.run`."""
        with _errors(command[0], self.image):
            self._pulled()
            container = self._created(command, folder, limits, given, environment)
            try:
                self._fill(container, [folder, *_places(command), *reads], writes)
                return self._done(container, limits, given, writes)
            finally:
                with contextlib.suppress(Exception):  # the engine removes what is left of it, or its owner by the label
                    self.client.remove_container(container, v=True, force=True)

    def _pulled(self) -> None:
        from docker.errors import ImageNotFound

        try:
            self.client.inspect_image(self.image)
        except ImageNotFound:
            auth = {"username": self.login.user, "password": self.login.password} if self.login else None
            self.client.pull(self.image, auth_config=auth)

    def _created(
        self,
        command: Sequence[str],
        folder: Path,
        limits: Limits,
        given: bytes | None,
        environment: Mapping[str, str],
    ) -> str:
        variables = settings_in(os.environ)
        if limits.memory:
            variables["GOMEMLIMIT"] = str(int(limits.memory * 0.9))
        made = self.client.create_container(
            self.image,
            command=list(command[1:]),
            entrypoint=[command[0]],
            working_dir=str(folder),
            environment={**variables, **environment},
            labels=LABEL,
            stdin_open=given is not None,
            host_config=self.client.create_host_config(
                mem_limit=limits.memory,
                memswap_limit=limits.memory,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=PROCESSES,
            ),
        )
        return str(made["Id"])

    def _fill(self, container: str, places: Sequence[Path], writes: Sequence[Path]) -> None:
        """Copy what it looks at to the same paths. Whoever the image's user is may read it, and write reports."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                for folder in dict.fromkeys([Path(tempfile.gettempdir()), *(it.parent for it in writes)]):
                    archive.add(folder, str(folder).lstrip("/"), recursive=False, filter=_for_everybody)
                for place in _outermost(places):
                    archive.add(place, str(place).lstrip("/"), filter=_for_everybody)
            file.seek(0)
            self.client.put_archive(container, "/", file)

    def _done(self, container: str, limits: Limits, given: bytes | None, writes: Sequence[Path]) -> Done:
        import requests

        if given is None:
            self.client.start(container)
        else:
            self._told(container, given)
        try:
            code = int(self.client.wait(container, timeout=limits.timeout)["StatusCode"])
        except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
            if self.client.inspect_container(container)["State"].get("Running"):
                raise took_too_long(limits) from error
            raise
        state = self.client.inspect_container(container)["State"]
        if state.get("OOMKilled"):
            raise NotLooked(f"it needed more memory than the {(limits.memory or 0) >> 20:,} MiB that are allowed")
        for report in writes:
            self._fetch(container, report)
        said, errors = (self._said(container, stdout=it) for it in (True, False))
        return Done(code, said, errors)

    def _told(self, container: str, given: bytes) -> None:
        """Start it, and write to its standard input."""
        attached = self.client.attach_socket(container, {"stdin": 1, "stream": 1})
        try:
            self.client.start(container)
            raw: Any = getattr(attached, "_sock", attached)
            raw.sendall(given)
            with contextlib.suppress(OSError):
                raw.shutdown(1)  # no more comes
        finally:
            attached.close()

    def _said(self, container: str, *, stdout: bool) -> bytes:
        said = bytearray()
        for piece in self.client.logs(container, stdout=stdout, stderr=not stdout, stream=True, follow=False):
            said += piece
            if len(said) > OUTPUT_BYTES:
                break
        return bytes(said[: OUTPUT_BYTES + 1])

    def _fetch(self, container: str, report: Path) -> None:
        """Its report, to the same path here; there is none where it wrote none."""
        from docker.errors import NotFound

        try:
            pieces, _ = self.client.get_archive(container, str(report))
        except NotFound:
            return
        with tempfile.TemporaryFile() as file:
            _write(file, pieces)
            with tarfile.open(fileobj=file) as archive:
                member = archive.next()
                content = archive.extractfile(member) if member is not None and member.isfile() else None
                if content is None:
                    raise NotLooked(f"its report {report.name} is no file")
                report.write_bytes(content.read(OUTPUT_BYTES + 1))


def _write(file: IO[bytes], pieces: Iterator[bytes]) -> None:
    """Write an archive of a report, and no more of it than a report may have."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > OUTPUT_BYTES + 1_000_000:
            raise NotLooked(TOO_LONG.format(OUTPUT_BYTES))
        file.write(piece)
    file.seek(0)


def settings_in(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the worker's variables that programs in containers get."""
    return {name: it for name, it in variables.items() if name.startswith(SETTINGS) and not name.endswith(HERE_ONLY)}


def _places(command: Sequence[str]) -> list[Path]:
    """The files and folders of the worker that a command names."""
    return [Path(it) for it in command[1:] if it.startswith("/") and Path(it).exists()]


def _outermost(places: Sequence[Path]) -> list[Path]:
    """The places without those that lie in another of them, and without the whole disk."""
    found = {it for it in places if it != Path("/")}
    return sorted(it for it in found if not found.intersection(it.parents))


def _for_everybody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode |= 0o777 if member.isdir() else 0o666
    return member


@contextlib.contextmanager
def _errors(program: str, image: str) -> Iterator[None]:
    """What stands in the way of running it.

    :raises NotLooked: in the end of a sentence.
    """
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        said = one_line(error.explanation or error, 500)
        if "executable file" in said or "no such file" in said.lower():
            raise NotLooked(f"the image {image} has no program {program}") from error
        raise NotLooked(f"it could not be run in a container of {image}: {said}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise NotLooked(f"the engine that runs {image} does not answer: {one_line(error, 500)}") from error
