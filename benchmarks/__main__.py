"""``python -m benchmarks [part …]``: measure, and print tables. Nothing is asserted."""

from __future__ import annotations

import argparse
import importlib
import os
import time

from benchmarks.table import Skip

PARTS = {
    "judges": "false rollbacks and badly served requests of each judge",
    "parse": "parse time of the release DAG file",
    "overhead": "Airflow's own time between tasks",
    "approval": "from a person's approval to the canary's first requests",
    "abort": "from a failing answer to weight 0",
    "switch": "all traffic at once, there and back",
    "rollback": "from the verdict to the end of the rollback tasks",
    "controls": "what people say to a release, until it has its effect",
    "release": "a busy app's release with holds that may end early",
    "triggerer": "many canaries in one triggerer",
    "cli": "what a command in a terminal costs",
    "calendars": "what a question to calendars costs",
    "scans": "all scans of one app",
    "pages": "the pages with many apps, and people who look at them",
}


def main() -> None:
    """Run the parts that were asked for, or all; one that cannot run here says why in a line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; default: all")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: one of {', '.join(PARTS)} is expected")
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"  # tables, not what triggers say
    for number, part in enumerate(parts, 1):
        begun = time.monotonic()
        print(f"\n[{number}/{len(parts)}] {part}: {PARTS[part]}", flush=True)
        try:
            importlib.import_module(f"benchmarks.{part}").main()
            print(f"\n  {part} took {time.monotonic() - begun:.0f} s")
        except Skip as why:
            print(f"  did not run: {why}")


if __name__ == "__main__":
    main()
