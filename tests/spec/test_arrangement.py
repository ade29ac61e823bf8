"""What an app leaves out, moves and adds: where it then stands, and what is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release_pipelines.core.errors import ExtensionError
from release_pipelines.pipeline.plan import ReleasePlan
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import ReleaseSpec, load_release

BASE = """
platform: container_host
connections: {platform: host, engine: host, registry: registry, prometheus: prometheus}
router: {kind: traefik}
address: {url: "http://127.0.0.1:8000"}
operators_allowed: [acme.operators.*]
dags_allowed: [warm_caches]
"""
BUILT = "build: {repository: https://git.example.org/shop.git, test_target: test}\n"
STEPS = "strategy: {canary: {steps: [{weight: 10, hold: 5m}, {weight: 50, hold: 5m}], bake: 5m}}\n"
COMMAND = "container: {image: tools:1, command: [check]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "staging.yaml").write_text('name: staging\naddress: {host: "{app}.staging.localhost"}\n')
    (tmp_path / "production.yaml").write_text(
        'name: production\naddress: {host: "{app}.localhost"}\napprovers: [bob]\n'
    )
    return tmp_path


def spec_of(folder: Path, more: str) -> ReleaseSpec:
    (folder / "shop.yaml").write_text(f"name: shop\n{STEPS}{more}")
    return load_release(folder / "shop.yaml", folder, folder)


def order(spec: ReleaseSpec) -> list[str]:
    return [it.id for it in ReleasePlan(spec).order]


def sentences(folder: Path, more: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        spec_of(folder, more)
    return [str(it) for it in (refused.value, *refused.value.also)]


def added(where: str, name: str = "own") -> str:
    return f"{BUILT}stages: [{{name: {name}, {where}, {COMMAND}}}]\n"


@pytest.mark.parametrize(
    ("where", "neighbours"),
    [
        ("after: preflight", ("preflight", "own", "resolve_commit")),
        ("before: resolve_commit", ("preflight", "own", "resolve_commit")),
        ("after: resolve_commit", ("resolve_commit", "own", "build.test")),
        ("before: scan.bandit", ("resolve_commit", "own", "build.test")),
        ("after: build.build_image", ("build.build_image", "own", "push_image")),
        ("before: push_image", ("build.build_image", "own", "push_image")),
        ("after: push_image", ("push_image", "own", "artifact")),
        ("before: artifact", ("push_image", "own", "artifact")),
        ("after: artifact", ("artifact", "own", "staging.take_lease")),
        ("before: staging", ("artifact", "before_staging.own", "staging.take_lease")),
        ("after: staging.take_lease", ("staging.take_lease", "staging.own", "staging.deploy")),
        ("before: staging.deploy", ("staging.take_lease", "staging.own", "staging.deploy")),
        ("after: staging.deploy", ("staging.deploy", "staging.own", "staging.smoke_test")),
        ("after: smoke_test", ("staging.smoke_test", "staging.own", "staging.integration_test")),
        ("after: staging", ("staging.integration_test", "staging.own", "approval")),
        ("before: approval", ("staging.integration_test", "before_production.own", "approval")),
        ("after: approval", ("approval", "own", "production.take_lease")),
        ("before: production", ("approval", "own", "production.take_lease")),
        ("after: canary_deploy", ("production.canary_deploy", "production.own", "production.step_10")),
        ("before: production.step_50", ("production.step_10", "production.own", "production.step_50")),
        ("after: production.bake", ("production.bake", "production.own", "production.promote")),
        ("before: production.promote", ("production.bake", "production.own", "production.promote")),
    ],
)
def test_a_stage_stands_right_beside_what_the_file_names(
    folder: Path, where: str, neighbours: tuple[str, str, str]
) -> None:
    ids = order(spec_of(folder, added(where)))
    at = ids.index(neighbours[1])
    assert (ids[at - 1], ids[at + 1]) == (neighbours[0], neighbours[2])


def test_stages_at_one_place_keep_the_order_of_the_file(folder: Path) -> None:
    stages = [
        f"{{name: {name}, {where}, {COMMAND}}}" for name in ("one", "two") for where in ("after: staging.deploy",)
    ]
    stages += [f"{{name: {name}, before: staging.smoke_test, {COMMAND}}}" for name in ("three", "four")]
    ids = order(spec_of(folder, f"stages: [{', '.join(stages)}]\n"))
    own = [it for it in ids if it.startswith("staging.")]
    assert own[1:7] == [f"staging.{it}" for it in ("deploy", "one", "two", "three", "four", "smoke_test")]


def test_nothing_comes_between_the_look_at_the_calendars_and_production(folder: Path) -> None:
    (folder / "calendars").mkdir()
    (folder / "calendars" / "nights.yaml").write_text("name: nights\n")
    for where in ("before: production.take_lease", "before: window", "after: approval"):
        ids = order(spec_of(folder, f"calendars: [nights]\n{added(where)}"))
        at = ids.index("own")
        assert ids[at : at + 3] == ["own", "window", "production.take_lease"], where
    [sentence] = sentences(folder, f"calendars: [nights]\n{added('after: window')}")
    assert "found a place after `window`, right after which the environment is touched" in sentence


def test_what_a_release_can_do_without_is_left_out(folder: Path) -> None:
    ids = order(spec_of(folder, f"{BUILT}leave_out: [scan.bandit, integration_test, build.test]\n"))
    assert {"scan.bandit", "staging.integration_test", "build.test"} & set(ids) == set()
    assert {"scan.hadolint", "staging.smoke_test", "build.build_image"} <= set(ids)


@pytest.mark.parametrize(
    ("moved", "before", "after"),
    [
        ("staging.smoke_test: {after: staging.integration_test}", "staging.integration_test", "staging.smoke_test"),
        ("integration_test: {before: staging.smoke_test}", "staging.integration_test", "staging.smoke_test"),
        ("scan.bandit: {before: build.build_image}", "scan.bandit", "build.build_image"),
        ("scan.bandit: {after: push_image}", "push_image", "scan.bandit"),
    ],
)
def test_what_can_stand_elsewhere_is_moved(folder: Path, moved: str, before: str, after: str) -> None:
    spec = spec_of(folder, f"{BUILT}move: {{{moved}}}\n")
    ids = order(spec)
    assert ids.index(before) < ids.index(after)
    assert sorted(ids) == sorted(order(spec_of(folder, BUILT))), "nothing is lost or doubled"
    assert ReleasePlan(spec).roles == ReleasePlan(spec_of(folder, BUILT)).roles


BELONGS = (
    "preflight", "artifact", "resolve_commit", "build.build_image", "push_image", "staging.take_lease", "staging.deploy",
    "approval", "production.canary_deploy", "production.step_10", "production.bake", "production.promote",
    "production.take_lease", "hold_lease", "give_back_lease", "roll_back_staging", "rollback.plan", "rollback.switch", "outcome",
)  # fmt: skip


@pytest.mark.parametrize("name", BELONGS)
def test_what_belongs_to_every_release_is_neither_left_out_nor_moved(folder: Path, name: str) -> None:
    [left_out] = sentences(folder, f"{BUILT}leave_out: [{name}]\n")
    assert left_out.startswith("shop.yaml: leave_out[0]: found `")
    assert "`, which belongs to every release, expected what a release can do without: one of " in left_out
    [moved] = sentences(folder, f"{BUILT}move: {{{name}: {{after: staging.deploy}}}}\n")
    assert "`, which belongs to every release, expected what can stand elsewhere: one of " in moved


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            "leave_out: [integration_tset]\n",
            "leave_out[0]: found `integration_tset`, a task that is not there, expected what a release can do without: "
            "one of staging.smoke_test, staging.integration_test; did you mean `staging.integration_test`?",
        ),
        (
            "move: {smoke_test: {before: staging.deploy}}\n",
            "move.smoke_test.before: found `staging.deploy`, where `staging.smoke_test` has not yet, or no longer, what it needs, "
            "expected a place by one of staging.integration_test",
        ),
        (
            "move: {smoke_test: {after: approval}}\n",
            "move.smoke_test.after: found `approval`, where `staging.smoke_test` has not yet, or no longer, what it needs, "
            "expected a place by one of staging.integration_test",
        ),
        (
            added("after: production.promote"),
            "stages[0].after: found a place by `production.promote`, expected one before the promotion: behind it there is no way back",
        ),
        (
            added("after: rollback.plan"),
            "stages[0].after: found a place by `rollback.plan`, expected one before the promotion: behind it there is no way back",
        ),
        (
            added("before: preflight"),
            "stages[0].before: found a place before `preflight`, with which every release begins, expected one after it",
        ),
        (
            added("after: production.hold_lease"),
            "stages[0].after: found `production.hold_lease`, which runs beside others, expected a task that others follow",
        ),
        (
            added("after: take_lease"),
            "stages[0].after: found `take_lease`, which stands there several times, "
            "expected one of staging.take_lease, production.take_lease",
        ),
        (added("after: staging.deploy", "deploy"), "stages[0].name: found `deploy`, which is there already, expected a name of its own"),
        (added("after: staging.deploy", "gate"), "stages[0].name: found `gate`, which is there already, expected a name of its own"),
        (added("before: approval", "rollback"), "stages[0].name: found `rollback`, which is there already, expected a name of its own"),
        (
            "stages: [{name: a, after: approval, evidence: Smoke test in staging, container: {command: [x]}}]\n",
            "stages[0].evidence: found `Smoke test in staging`, which the approval has already, expected words of its own",
        ),
        (
            added("after: staging.deploy, before: approval"),
            "stages[0]: found the keys name, after, before, container, expected exactly one of `after` and `before`",
        ),
        (
            "stages: [{name: own, after: approval}]\n",
            "stages[0]: found the keys name, after, expected exactly one of `container`, `http`, `operator`, `dag`, `accessibility`, "
            "`performance`, `web_security`, `zap`",
        ),
        (
            "stages: [{name: own, after: approval, environment: stagin, container: {command: [x]}}]\n",
            "stages[0].environment: found `stagin`, expected one of staging, production; did you mean `staging`?",
        ),
        (
            "stages: [{name: own, after: approval, operator: {path: os.system}}]\n",
            "stages[0].operator.path: found `os.system`, expected what `operators_allowed` in production.yaml allows: acme.operators.*",
        ),
        (
            "stages: [{name: own, after: approval, operator: {path: acme.operatorsx.Run}}]\n",
            "stages[0].operator.path: found `acme.operatorsx.Run`, "
            "expected what `operators_allowed` in production.yaml allows: acme.operators.*",
        ),
        (
            "stages: [{name: own, after: approval, operator: {path: acme.operators.Run, arguments: {task_id: x}}}]\n",
            "stages[0].operator.arguments: found `task_id`, which the release decides about, "
            "expected arguments of the operator itself",
        ),
        (
            "stages: [{name: own, after: approval, dag: {dag_id: release_rollback}}]\n",
            "stages[0].dag.dag_id: found `release_rollback`, expected what `dags_allowed` in production.yaml allows: warm_caches",
        ),
        (
            "stages: [{name: own, after: approval, http: {url: 'http://x/', connection: idp}}]\n",
            "stages[0].http: found the keys url, connection, expected `url` alone, or `path`, with or without `connection`",
        ),
        (
            "stages: [{name: own, after: approval, container: {command: ['{stages.load.p95}']}}]\n",
            "stages[0].container: found `{stages.load}`, expected a stage that works before it: there is none",
        ),
    ],
)  # fmt: skip
def test_what_has_no_place_is_refused_in_one_sentence(folder: Path, more: str, sentence: str) -> None:
    assert sentences(folder, more) == [f"shop.yaml: {sentence}"]


def test_an_unknown_place_is_refused_with_what_may_have_been_meant(folder: Path) -> None:
    [sentence] = sentences(folder, added("after: staging.smoke_tets"))
    assert sentence.startswith("shop.yaml: stages[0].after: found `staging.smoke_tets`, expected one of preflight, ")
    assert sentence.endswith("; did you mean `staging.smoke_test`?")


def test_what_an_earlier_stage_hands_on_is_named_only_behind_it(folder: Path) -> None:
    load = f"{{name: load, after: staging.integration_test, {COMMAND}}}"
    early = "{name: early, after: staging.deploy, container: {command: ['{stages.load.p95}']}}"
    late = "{name: late, after: canary_deploy, container: {command: ['{stages.load.p95}']}}"
    for stages in (f"[{load}, {late}]", f"[{late}, {load}]"):
        ids = order(spec_of(folder, f"stages: {stages}\n"))
        assert ids.index("staging.load") < ids.index("production.late")
    [sentence] = sentences(folder, f"stages: [{load}, {early}]\n")
    assert sentence.endswith("found `{stages.load}`, expected a stage that works before it: there is none")


def test_what_an_environment_demands_stays_and_stays_where_it_is(folder: Path) -> None:
    with (folder / "production.yaml").open("a") as file:
        file.write("demands: [staging.smoke_test, scan.bandit]\n")
    spec_of(folder, BUILT)
    [left_out] = sentences(folder, f"{BUILT}leave_out: [staging.smoke_test]\n")
    assert left_out.startswith(
        "shop.yaml: leave_out[0]: found `staging.smoke_test`, which production.yaml demands, "
        "expected what a release can do without: one of "
    )
    [moved] = sentences(folder, f"{BUILT}move: {{scan.bandit: {{after: push_image}}}}\n")
    assert "found `scan.bandit`, which production.yaml demands" in moved
    [by_another_key] = sentences(folder, f"{BUILT}scan: {{scanners: [hadolint]}}\n")
    assert by_another_key == (
        "production.yaml: demands[1]: found `scan.bandit`, a task that shop.yaml does not have, expected it there, "
        "or one of build.test, scan.hadolint, staging.smoke_test, staging.integration_test"
    )


def test_a_demand_of_base_yaml_that_no_app_can_meet_is_told_there(folder: Path) -> None:
    (folder / "base.yaml").write_text(f"{BASE}demands: [scan.bandti]\n")
    [sentence] = sentences(folder, BUILT)
    assert sentence.startswith("base.yaml: demands[0]: found `scan.bandti`, a task that shop.yaml does not have")


def test_an_app_that_asks_for_nothing_has_the_tasks_that_it_had(folder: Path) -> None:
    empty = "stages: []\nleave_out: []\nmove: {}\n"
    assert order(spec_of(folder, BUILT + empty)) == order(spec_of(folder, BUILT))


def test_a_specification_from_before_these_keys_is_read_as_it_was(folder: Path) -> None:
    spec = spec_of(folder, BUILT)
    stored = json.loads(spec.model_dump_json())
    for key in ("stages", "leave_out", "move"):
        del stored["app"][key]
    for environment in stored["environments"]:
        for key in ("operators_allowed", "dags_allowed", "demands"):
            environment.pop(key)
    assert ReleaseSpec.model_validate(stored) == spec.model_copy(
        update={
            "environments": [
                it.model_copy(update={"operators_allowed": [], "dags_allowed": []}) for it in spec.environments
            ]
        }
    )


def test_a_specification_with_stages_comes_back_from_its_json(folder: Path) -> None:
    spec = spec_of(folder, added("after: staging.deploy"))
    again = ReleaseSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert order(again) == order(spec)


def test_a_place_that_is_gone_since_the_release_began_is_told(folder: Path) -> None:
    spec = spec_of(folder, added("after: staging.deploy"))
    stored = json.loads(spec.model_dump_json())
    stored["app"]["stages"][0]["after"] = "staging.gone"
    with pytest.raises(ExtensionError, match=r"^shop: stages\[0\].after: found `staging.gone`, expected one of "):
        ReleasePlan(ReleaseSpec.model_validate(stored))


def test_a_lease_before_production_lasts_as_long_as_the_stages_under_it(folder: Path) -> None:
    from release_pipelines.spec.arrangement import own_stage_seconds

    stage = "{name: load, after: staging.deploy, timeout: 40m, retries: 1, container: {command: [x]}}"
    other = "{name: soak, after: staging.deploy, timeout: 40m, retries: 5, stop_after: 1h, container: {command: [x]}}"
    spec = spec_of(folder, f"stages: [{stage}, {other}]\n")
    assert own_stage_seconds(spec, "staging") == 2 * 2400 + 3600
    assert own_stage_seconds(spec, "production") == 0


def test_the_example_of_the_documentation_is_valid(folder: Path) -> None:
    import re

    text = (Path(__file__).parents[2] / "docs" / "stages.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ids = order(spec_of(folder, BUILT + example))
    staging = [it.removeprefix("staging.") for it in ids if it.startswith("staging.")]
    assert staging == ["take_lease", "deploy", "integration_test", "smoke_test", "load"]
    assert ids[ids.index("approval") - 1] == "before_production.compare"
    assert ids[ids.index("production.bake") + 1] == "production.purge_cache"


def test_the_sentences_of_the_documentation_are_those_of_the_command(folder: Path) -> None:
    import re

    text = (Path(__file__).parents[2] / "docs" / "stages.md").read_text()
    [shown] = re.findall(r"in one sentence each:\n\n```\n(.*?)```", text, re.DOTALL)
    built = "build: {repository: https://git.example.org/shop.git}\nintegration_test: [check]\n"
    said = [
        *sentences(folder, f"{built}leave_out: [approval]\n"),
        *sentences(folder, f"{built}leave_out: [scan.trivy]\n"),
        *sentences(folder, f"{built}stages: [{{name: own, after: production.promote, {COMMAND}}}]\n"),
        *sentences(folder, f"{built}stages: [{{name: own, after: approval, operator: {{path: os.system}}}}]\n"),
    ]
    production = folder / "production.yaml"
    written = production.read_text()
    production.write_text(f"{written}demands: [staging.smoke_test]\n")
    said += sentences(folder, f"{built}leave_out: [staging.smoke_test]\n")
    production.write_text(f"{written}demands: [scan.gitleaks]\n")
    said += sentences(folder, built)
    assert sorted(shown.splitlines()) == sorted(said)


@pytest.mark.parametrize("strategy", ["canary", "blue_green", "rolling"])
def test_every_task_has_its_name_in_the_documentation(folder: Path, strategy: str) -> None:
    import re

    from release_pipelines.spec.arrangement import arranged

    text = (Path(__file__).parents[2] / "docs" / "stages.md").read_text()
    table = text.partition("## What tasks are called")[2]
    named = {it for line in table.splitlines() for it in re.findall(r"`([^`]+)`", line.partition(" | ")[0])}
    (folder / "production.yaml").write_text(
        'name: production\naddress: {host: "{app}.localhost"}\napprovers: [bob]\npolicies: [a]\n'
        "verify: {keys: [{name: ours, connection: key}]}\n"
    )
    (folder / "shop.yaml").write_text(
        f"name: shop\nstrategy: {strategy}\n{BUILT}integration_test: [check]\nsbom: true\nsign: {{key: {{connection: key}}}}\n"
        "scan: {image_scanners: [trivy], ecr: {}, sarif: [{name: codeql, command: [x], report: r}]}\n"
    )
    spec = load_release(folder / "shop.yaml", folder, folder)
    beside = ("hold_lease", "give_back_lease", "roll_back_staging")
    for it in arranged(spec).tasks:
        if it.task.task_id in beside or it.id.startswith("rollback."):
            continue
        general = re.sub(r"^before_\w+\.", "before_<environment>.", it.id)
        general = re.sub(r"^(scan|image_scan)\.(?!sbom$).*", r"\1.<name>", general)
        general = re.sub(r"step_\d+$", "step_<weight>", general)
        assert general in named, it.id
