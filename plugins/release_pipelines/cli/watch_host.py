"""``release watch-host``: keeps what runs on a container host, with or without Airflow."""

from __future__ import annotations

from typing import Annotated

import typer

from release_pipelines.cli.terminal import examples, fail

ENGINES = ("unix://", "tcp://", "http://", "https://")
STORES = ("redis://", "rediss://", "unix://")

Engine = Annotated[
    str | None,
    typer.Option(
        help="The container engine's address, as the platform's connection has it.",
        show_default="unix:///var/run/docker.sock",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        envvar="RELEASE_STORE",
        help="The state store's address, as the connection's `state_url` has it.",
        show_default="redis://127.0.0.1:6379/0",
    ),
]


def add_watch_host(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    epilog = examples(
        "release watch-host", "release watch-host --engine tcp://10.0.0.5:2375 --store redis://10.0.0.5:6379/0"
    )
    app.command("watch-host", epilog=epilog, rich_help_panel="Upkeep")(watch_host)


def watch_host(engine: Engine = None, store: Store = None) -> None:
    """Bring replicas on a container host back that are gone, until it is stopped.

    After a crash, a restart of the engine or a start of the machine; the proxy is told at once. Let it run beside the engine,
    started by whatever starts services there. It needs no Airflow.
    """
    import asyncio
    import logging

    from release_pipelines.adapters.platforms.container_host import DEFAULT_ENGINE, DEFAULT_STORE
    from release_pipelines.adapters.platforms.container_host.keeper import Keeper
    from release_pipelines.core.model.source import without_login

    for option, given, known in (("--engine", engine, ENGINES), ("--store", store, STORES)):
        if given and not given.startswith(known):
            fail(f"{option}: found `{without_login(given)}`, expected an address with {' or '.join(known)}.")

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)

    async def keep() -> None:
        async with Keeper(engine or DEFAULT_ENGINE, store or DEFAULT_STORE) as keeper:
            await keeper.run()

    try:
        asyncio.run(keep())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
