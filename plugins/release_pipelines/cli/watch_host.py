"""``release watch-host``: keeps what runs on a container host, with or without Airflow."""

from __future__ import annotations

from typing import Annotated

import typer

from release_pipelines.adapters.platforms.container_host import DEFAULT_ENGINE, DEFAULT_STORE

Engine = Annotated[str, typer.Option(help="The container engine's address, as the platform's connection has it.")]
Store = Annotated[
    str, typer.Option(envvar="RELEASE_STORE", help="The state store's address, as the connection's `state_url` has it.")
]


def add_watch_host(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("watch-host")(watch_host)


def watch_host(engine: Engine = DEFAULT_ENGINE, store: Store = DEFAULT_STORE) -> None:
    """Bring replicas on a container host back that are gone, until it is stopped.

    After a crash, a restart of the engine or a start of the machine; the proxy is told at once. Let it run beside the engine,
    started by whatever starts services there. It needs no Airflow.
    """
    import asyncio
    import logging

    from release_pipelines.adapters.platforms.container_host.keeper import Keeper

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)

    async def keep() -> None:
        async with Keeper(engine, store) as keeper:
            await keeper.run()

    try:
        asyncio.run(keep())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
