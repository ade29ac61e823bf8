"""One command in a container of its own."""

from __future__ import annotations

import hashlib

from release_pipelines.adapters.platforms.container_host.engine import EngineRefusal
from release_pipelines.adapters.platforms.container_host.host import Host
from release_pipelines.adapters.platforms.container_host.replicas import LABEL
from release_pipelines.core.errors import CommandEnded, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Jobs

RUN_LINES = 40


class HostJobs(Host, Jobs):
    """Runs commands."""

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        """Run ``command`` in the image, in the host's own network."""
        if not await self._engine.has_image(image):
            await self._engine.pull(image)
        mark = hashlib.sha256(" ".join([image, *command]).encode()).hexdigest()[:16]
        name = f"{target.app}-{target.environment}-run-{mark}"
        body = {
            "Image": image,
            "Entrypoint": command[:1],
            "Cmd": command[1:],
            "Env": [f"{key}={value}" for key, value in env.items()],
            "Labels": {f"{LABEL}run": target.app},
            "HostConfig": {"NetworkMode": "host"},
        }
        await self._engine.remove(name)  # of a try that was killed
        try:
            await self._engine.create(name, body)
            await self._engine.start(name)
            code = await self._engine.wait(name, timeout)
            output = await self._engine.logs(name, RUN_LINES)
        except EngineRefusal as error:
            raise PlatformError(f"`{' '.join(command)}` cannot be run in {image}: {error}") from error
        finally:
            await self._engine.remove(name)
        if code == 0:
            return output
        ended = f"took longer than {timeout:g} s" if code is None else f"ended with exit code {code}"
        raise CommandEnded(f"`{' '.join(command)}` {ended}. Its last lines:\n{output}", output, code)
