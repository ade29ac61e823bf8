"""A container engine that speaks Docker's API: the Docker that runs, else a Podman service of the sandbox's own."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import app_file, processes
from sandbox.settings import (
    BASE_IMAGE,
    CACHE,
    LOCAL_BASE_IMAGE,
    REGISTRY,
    STATE,
    SandboxError,
    environment,
)

if TYPE_CHECKING:
    from docker import DockerClient

DIRECTORY = STATE / "engine"
SOCKET = STATE / "engine.sock"
PACKAGES = "python3-minimal,libpython3-stdlib,ca-certificates,libc-bin,coreutils"
"""What a base image of our own is made of; `sleep` is what a pod waits with before it ends."""
COMPILED = 'chroot "$1" /usr/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/lib/python3.11'
"""Nothing is set up in it, so Python would compile its own modules at each start: more than a second, until it serves."""

CONTAINERS_CONF = """\
[containers]
default_ulimits = []

[engine]
runtime = "runc"
events_logger = "file"
cgroup_manager = "cgroupfs"

[network]
network_backend = "netavark"
"""

REGISTRIES_CONF = f"""\
[[registry]]
location = "{REGISTRY}"
insecure = true
"""

# The default network, with a bridge and a subnet of its own: another Podman on the machine has those of the default.
NETWORK = {
    "name": "podman",
    "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
    "driver": "bridge",
    "network_interface": "sandbox0",
    "created": "2024-01-01T00:00:00Z",
    "subnets": [{"subnet": "10.231.0.0/24", "gateway": "10.231.0.1"}],
    "ipv6_enabled": False,
    "internal": False,
    "dns_enabled": False,
    "ipam_options": {"driver": "host-local"},
}


def client(url: str, timeout: float = 120) -> DockerClient:
    """A client of the engine at ``url``."""
    import docker

    return docker.DockerClient(base_url=url, timeout=timeout)


def _docker_url() -> str | None:
    """The address of a Docker that answers; a command line without a daemon is no engine."""
    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        return url if client(url, timeout=3).ping() else None
    except Exception:  # the SDK raises errors of half a dozen libraries here
        return None


def url() -> str:
    """The engine's address; the sandbox's own once it was started."""
    if processes.find("engine"):
        return f"unix://{SOCKET}"
    found = _docker_url()
    if found is None:
        raise SandboxError("No container engine answers: start Docker, or install podman and run `make demo` again.")
    return found


def start() -> str:
    """Make sure that an engine answers; returns its address."""
    if processes.find("engine") is None:
        found = _docker_url()
        if found:
            return found
        if not shutil.which("podman"):
            raise SandboxError("A container engine is needed: start Docker, or install podman, runc and netavark.")
        networks = DIRECTORY / "networks"
        networks.mkdir(parents=True, exist_ok=True)
        (networks / "podman.json").write_text(json.dumps(NETWORK))
        (DIRECTORY / "containers.conf").write_text(CONTAINERS_CONF)
        (DIRECTORY / "registries.conf").write_text(REGISTRIES_CONF)
        # The runtime leaves files where it runs.
        service = [*_podman(), "system", "service", "-t", "0", f"unix://{SOCKET}"]
        processes.start("engine", service, _podman_env(), cwd=DIRECTORY, stale=SOCKET)
    processes.wait_until(lambda: _pings(f"unix://{SOCKET}"), "engine", timeout=30)
    return f"unix://{SOCKET}"


def _podman() -> list[str]:
    folders = {"--root": "root", "--runroot": "run", "--network-config-dir": "networks", "--tmpdir": "tmp"}
    return ["podman", *(part for flag, name in folders.items() for part in (flag, str(DIRECTORY / name)))]


def _podman_env() -> dict[str, str]:
    return {
        "CONTAINERS_CONF": str(DIRECTORY / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(DIRECTORY / "registries.conf"),
    }


def _pings(url: str) -> bool:
    try:
        return bool(client(url, timeout=3).ping())
    except Exception:  # as above
        return False


def base_image(engine_url: str) -> str:
    """An image with Python for builds to start from: pulled, or made of Debian packages where that is not possible."""
    import docker.errors

    engine = client(engine_url, timeout=600)
    for image in (BASE_IMAGE, LOCAL_BASE_IMAGE):
        if any(image in tag for known in engine.images.list() for tag in known.tags):
            return image
    try:
        engine.images.pull(BASE_IMAGE)
        return BASE_IMAGE
    except (docker.errors.APIError, OSError):
        print(f"  {BASE_IMAGE} cannot be pulled; making an image with Python from Debian packages")
    repository, tag = LOCAL_BASE_IMAGE.rsplit(":", 1)
    engine.api.import_image_from_file(str(base_archive()), repository=repository, tag=tag)
    return LOCAL_BASE_IMAGE


def base_archive() -> Path:
    """The files of :data:`LOCAL_BASE_IMAGE` as a tar archive; made once."""
    archive = CACHE / f"base-{zlib.crc32((PACKAGES + COMPILED).encode()):08x}.tar"
    if archive.exists():
        return archive
    if not shutil.which("mmdebstrap"):
        raise SandboxError(f"The image {BASE_IMAGE} cannot be pulled, and mmdebstrap is not there to make one.")
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = CACHE / "base.unfinished.tar"
    kind = ["--variant=extract", f"--include={PACKAGES}", f"--extract-hook={COMPILED}"]
    made = subprocess.run(
        ["mmdebstrap", *kind, "bookworm", str(unfinished)], env=environment(), capture_output=True, text=True
    )
    if made.returncode:
        raise SandboxError(f"mmdebstrap made no base image:\n{made.stderr[-600:]}")
    return unfinished.rename(archive)


def remove_app_containers(engine_url: str) -> int:
    """Remove all containers of the sample app, and of those beside it; returns how many there were."""
    names = tuple(f"{app}-" for app in app_file.names())
    containers = [c for c in client(engine_url).containers.list(all=True) if c.name.startswith(names)]
    for container in containers:
        container.remove(force=True)
    return len(containers)


def stop() -> None:
    """End the sandbox's own engine with all its containers, networks and mounts, also when it has died."""
    if not DIRECTORY.exists():
        return
    if shutil.which("podman"):  # by the command line, which needs no service
        end = [*_podman(), "rm", "--all", "--force", "--time", "0"]
        env = {**environment(), **_podman_env()}
        subprocess.run(end, env=env, cwd=DIRECTORY, capture_output=True, check=False)
    processes.stop("engine")
    SOCKET.unlink(missing_ok=True)
    # Mounts would keep the folder from being removed: of the image store, and of containers that died with their engine.
    for place in mounted_below(DIRECTORY, Path("/proc/mounts").read_text()):
        subprocess.run(["umount", "--quiet", "--lazy", place], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", NETWORK["network_interface"]], capture_output=True, check=False)
    remove_rules(NETWORK["subnets"][0]["subnet"])  # type: ignore[index]


def remove_rules(subnet: str) -> None:
    """Remove what an engine left in the firewall for containers that died with it: who gets their ports would not be reached."""
    for table in ("nat", "filter"):
        saved = subprocess.run(
            ["iptables-save", "-t", table], env=environment(), capture_output=True, text=True, check=False
        )
        for rule in left_rules(saved.stdout, subnet):
            command = ["iptables", "--wait", "10", "--table", table, "--delete", *shlex.split(rule)]
            subprocess.run(command, env=environment(), capture_output=True, check=False)


def left_rules(saved: str, subnet: str) -> list[str]:
    """The rules of netavark for addresses in a subnet: chain and specification of each.

    :param saved: as ``iptables-save`` prints them.
    """
    network = ipaddress.ip_network(subnet)
    rules = [line.removeprefix("-A ") for line in saved.splitlines() if line.startswith("-A ") and "NETAVARK" in line]
    ports, others = set[str](), set[str]()
    for rule in rules:
        if target := re.search(r"--dport (\d+) .*--to-destination ([\d.]+)", rule):
            (ports if ipaddress.ip_address(target[2]) in network else others).add(target[1])
    own = {f" --dport {port} " for port in ports - others}
    return [it for it in rules if _names(it, network) or any(port in it for port in own)]


def _names(rule: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    addresses = re.findall(r"(?:-[sd]|--to-destination) ([\d.]+)", rule)
    return any(ipaddress.ip_address(it) in network for it in addresses)


def mounted_below(folder: Path, mounts: str) -> list[str]:
    """Where something is mounted in a folder, the innermost first.

    :param mounts: as the kernel lists them.
    """
    places = [line.split(" ")[1] for line in mounts.splitlines()]
    return sorted((it for it in places if Path(it).is_relative_to(folder.resolve())), reverse=True)
