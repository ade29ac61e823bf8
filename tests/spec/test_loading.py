from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.units import parse_duration, parse_share
from release_pipelines.core.ports.router import settles_within
from release_pipelines.spec.loader import SpecError, deep_merge, load_analysis, load_environment, read_yaml
from release_pipelines.spec.release import app_errors, load_release, release_specs
from release_pipelines.spec.schema import schemas
from release_pipelines.spec.stages import plan_in_words
from release_pipelines.spec.strategy import StrategySettings
from release_pipelines.spec.target import target
from tests.spec.conftest import BASE

TREES = st.recursive(
    st.integers(0, 3) | st.sampled_from(["", "x"]) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), TREES, max_size=4)
ROOT = Path(__file__).parents[2]


def leaves(tree, path=()):
    if isinstance(tree, dict) and tree:
        return {leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))}
    return {(path, repr(tree))}


@given(MAPPINGS, MAPPINGS)
def test_what_the_environment_says_wins_and_the_rest_stays(base, over):
    merged = deep_merge(base, over)
    assert leaves(over) <= leaves(merged) | {((), "{}")} | {
        (path, "{}") for path, value in leaves(over) if value == "{}"
    }
    assert leaves(merged) <= leaves(base) | leaves(over)


@given(MAPPINGS)
def test_merging_with_nothing_changes_nothing(tree):
    assert deep_merge(tree, {}) == tree == deep_merge({}, tree)
    assert deep_merge(tree, tree) == tree


@given(MAPPINGS, MAPPINGS, MAPPINGS)
def test_merging_layer_by_layer_does_not_change_its_inputs(a, b, c):
    before = repr((a, b, c))
    deep_merge(deep_merge(a, b), c)
    assert repr((a, b, c)) == before


def test_an_environment_is_its_file_over_the_base(project):
    project.environment("production", "namespace: shop\naddress: {host: shop.example}")
    environment = load_environment("production", project.config)
    assert environment.namespace == "shop"
    assert environment.address.host == "shop.example"
    assert environment.address.url == "http://127.0.0.1:8000"  # from base.yaml
    assert environment.name == "production"  # from the file's name


def test_an_app_of_one_line_is_complete(project):
    spec = load_release(project.app(), project.config, project.analyses)
    assert [environment.name for environment in spec.environments] == ["staging", "production"]
    assert [metric.name for metric in spec.analysis.metrics] == ["errors", "slow-requests", "cpu", "memory"]


def test_cpu_and_memory_decide_only_where_a_limit_is_set(project):  # R3
    def critical() -> list[str]:
        spec = load_release(project.apps / "storefront.yaml", project.config, project.analyses)
        return [metric.name for metric in spec.analysis.metrics if metric.critical]

    project.app()
    assert critical() == ["errors", "slow-requests"]
    project.app("workloads: [{cpu: 0.5, memory: 128Mi}]")
    assert critical() == ["errors", "slow-requests", "cpu", "memory"]


def test_an_analysis_with_a_name_comes_from_its_file(project):
    (project.analyses / "strict.yaml").write_text("metrics: [{name: errors, source: errors, limit: 0.1%}]")
    spec = load_release(project.app("analysis: strict"), project.config, project.analyses)
    assert [metric.limit for metric in spec.analysis.metrics] == [0.001]


def test_the_default_analysis_can_be_replaced(project):
    assert len(load_analysis("default", project.analyses).metrics) == 4
    (project.analyses / "default.yaml").write_text("metrics: [{name: errors, source: errors, limit: 2%}]")
    assert len(load_analysis("default", project.analyses).metrics) == 1


def test_with_a_name_no_other_file_is_read(project):
    project.app()
    (project.apps / "other.yaml").mkdir()  # reading it would fail
    assert [spec.app.name for spec in release_specs(project.apps, project.config, "storefront")] == ["storefront"]
    assert release_specs(project.apps, project.config, "nowhere") == []


def test_a_release_specification_survives_json(project):
    spec = load_release(project.app(), project.config, project.analyses)
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172800), (7, 7), (0, 0)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", -1, True, None, float("inf"), float("nan")])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="expected"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.5 %", 0.005), (0.01, 0.01), (300, 300)])
def test_shares(text, share):
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["%", "1", "-1%", "nan%", True, None, float("nan"), float("inf")])
def test_what_is_no_share(text):
    with pytest.raises(ValueError, match="a share like"):
        parse_share(text)


@pytest.mark.parametrize("name", ["canary", "blue_green", "rolling"])
@pytest.mark.parametrize("text", ["strategy: {name}", "strategy: {{{name}: }}", "strategy: {{{name}: {{}}}}"])
def test_the_name_of_a_strategy_is_enough(project, name, text):
    app = project.app(text.format(name=name))
    strategy = load_release(app, project.config, project.analyses).app.strategy
    assert strategy == StrategySettings.model_validate({name: {}})
    Draft202012Validator(json.loads(schemas()["app.schema.json"])).validate({"name": "a", "strategy": name})


def test_only_who_builds_needs_an_engine(project):  # R12
    base = BASE.replace("engine: host, ", "")
    project.environment("base", base)
    assert load_release(project.app(), project.config, project.analyses).environments[0].connections.engine is None
    with pytest.raises(
        SpecError, match=r"storefront.yaml: build: found no engine in staging.yaml, expected `connections.engine`"
    ):
        load_release(project.app("build: {repository: .}"), project.config, project.analyses)


@pytest.mark.parametrize("zone", ["Europe/Berlim", "Europe", "/etc", ""])
def test_a_time_zone_that_is_none(project, zone):  # R12
    project.environment("production", f"name: production\ntime_zone: {zone!r}")
    with pytest.raises(SpecError, match=r"time_zone: found .*, expected a time zone like Europe/Berlin"):
        load_release(project.app(), project.config, project.analyses)


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_for_editors_are_current(name):
    assert (ROOT / "include" / "schemas" / name).read_text() == schemas()[name]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("apps/storefront.yaml", "app"),
        ("config/production.yaml", "environment"),
        ("config/base.yaml", "environment"),
        ("calendars/business-hours.yaml", "calendar"),
    ],
)
def test_an_editor_marks_nothing_in_the_files_of_this_project(file, kind):
    data = json.loads(json.dumps(read_yaml(ROOT / "include" / file), default=str))  # a day is text to an editor
    Draft202012Validator(json.loads(schemas()[f"{kind}.schema.json"])).validate(data)


def test_the_app_files_of_this_project_are_valid():
    assert app_errors(ROOT / "include" / "apps", ROOT / "include" / "config") == []


def test_how_long_a_data_plane_takes_is_the_environments_and_earlier_versions_see_no_key_that_is_not_used(project):
    path = project.app()
    project.environment("production", "{name: production, address: {settles_within: 90s}}")
    spec = load_release(path, project.config, project.analyses)
    assert target(spec, "production").settles_within == settles_within(target(spec, "production")) == 90
    staging = target(spec, "staging")
    assert (staging.settles_within, settles_within(staging)) == (None, 10)
    assert "settles_within" not in to_json(staging)
    assert "settles_within" not in spec.environment("staging").model_dump_json()


def test_a_plan_in_words_has_the_times_that_people_read(project):
    project.app("strategy: {canary: {steps: [{weight: 10, hold: 240s}], bake: {min: 90s, max: 2h}}}")
    (spec,) = release_specs(project.apps, project.config)
    assert "10 % for 4 min → 100 % for 1 min 30 s to 2 h, then it is promoted" in plan_in_words(spec)
