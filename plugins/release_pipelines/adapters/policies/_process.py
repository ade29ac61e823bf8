"""A process that reads and evaluates Rego, and nothing else: it can be ended when a policy takes too long or too much."""

import json
import resource
import sys
from typing import Any

MEMORY = 1 << 30
"""Memory of an evaluation, in bytes."""


def _first_lines(error: Exception) -> str:
    return str(error).partition("Stack backtrace:")[0].strip()


def _value(answer: dict[str, Any]) -> object:
    results = answer.get("result") or []
    return results[0]["expressions"][0]["value"] if results else None


def main() -> None:
    """Read a job from the standard input, write its result as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import regorus

    job = json.load(sys.stdin)
    engine = regorus.Engine()
    try:
        for file, text in job["files"].items():
            engine.add_policy(file, text)
        if job["queries"] is None:
            result = json.loads(engine.get_ast_as_json())
        else:
            engine.set_input_json(json.dumps(job["input"]))
            result = [_value(json.loads(engine.eval_query_as_json(it))) for it in job["queries"]]
    except Exception as error:  # a policy may raise anything
        json.dump({"error": _first_lines(error)}, sys.stdout)
    else:
        json.dump({"result": result}, sys.stdout)


if __name__ == "__main__":
    main()
