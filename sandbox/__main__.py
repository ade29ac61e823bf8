"""``python -m sandbox up|down|status|reset|demo|release|watch``."""

from __future__ import annotations

import argparse
import os
import sys

from sandbox import stack, watch
from sandbox.settings import SandboxError, environment


def main() -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The local stack.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything that does not run yet")
    commands.add_parser("down", help="stop everything and remove what it left")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("reset", help="forget all releases, images and containers of the sample app")
    commands.add_parser("watch", help="start again what ends; `up` starts this")
    demo = commands.add_parser("demo", help="start everything, release three versions, show what happened")
    demo.add_argument("--context", default="", help="kubectl context: release to this cluster instead of containers")
    demo.add_argument("--registry", default="", help="registry that this machine and the cluster both reach")
    demo.add_argument("--strategy", default="canary", help="how new versions take over: canary, blue_green or rolling")
    release = commands.add_parser("release", help="release one version of an app")
    release.add_argument("app")
    release.add_argument("version")
    arguments = parser.parse_args()
    os.environ["PATH"] = environment()["PATH"]
    try:
        if arguments.command == "status":
            return 0 if stack.status() else 1
        if arguments.command in ("demo", "release"):
            from sandbox import demo as show

            if arguments.command == "demo":
                return show.demo(arguments.strategy, arguments.context, arguments.registry)
            return show.release(arguments.app, arguments.version)
        {"up": stack.up, "down": stack.down, "reset": stack.empty, "watch": watch.run}[arguments.command]()
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped waiting. What was started runs on; `make down` ends it.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
