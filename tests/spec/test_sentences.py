"""R12: what pydantic says is told in our words, once for each mistake, at its place in the file."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from release_pipelines.spec.loader import SpecError, load_environment
from release_pipelines.spec.release import app_errors, load_release
from release_pipelines.spec.sentences import mistakes_of

NOT_OURS = (
    "function-",
    "literal[",
    "string should",
    "should have",
    "text that fits",
    "datetimes",
    "Input",
    "input should",
)


def told(project, text: str) -> list[str]:
    """All mistakes of an app's file."""
    path = project.app(text)
    with pytest.raises(SpecError) as caught:
        load_release(path, project.config, project.analyses)
    return [str(it) for it in (caught.value, *caught.value.also)]


@pytest.mark.parametrize(
    ("written", "sentences"),
    [
        (
            "scan: {known_exploited: 5}",
            ["scan.known_exploited: found 5, expected true or false, or text (put it in quotes)"],
        ),
        (
            "stages: [{name: load, after: approval, http: {equals: [1]}}]",
            [
                "stages[0].http.equals: found a list of 1, expected text (put it in quotes), or a whole number, or a number, "
                "or true or false"
            ],
        ),
        (
            "scan: {limits: {bandit: {timout: 5m}}}",
            [
                "scan.limits.bandit.timout: found an unknown key, expected one of timeout, memory; did you mean `timeout`?"
            ],
        ),
        (
            "stages: [{name: load, after: approval, container: {command: [x], secrets: {T: {conection: a}}}}]",
            [
                "stages[0].container.secrets.T.conection: found an unknown key, expected one of connection, variable; "
                "did you mean `connection`?"
            ],
        ),
        (
            "stages: [{name: Load, after: approval, dag: {dag_id: a b}}]",
            [
                "stages[0].name: found `Load`, expected at most 40 lower-case letters, digits and underscores, a letter first",
                "stages[0].dag.dag_id: found `a b`, expected letters, digits, dots, dashes and underscores",
            ],
        ),
        (
            "policies: [../x]",
            [
                "policies[0]: found `../x`, expected lower-case letters, digits, dashes and underscores, a letter or digit first"
            ],
        ),
    ],
)
def test_a_mistake_of_an_app_is_one_sentence_at_its_place(project, written: str, sentences: list[str]) -> None:
    assert told(project, written) == [f"storefront.yaml: {it}" for it in sentences]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("way_back: []", "way_back: found a list of 0, expected one of `warn`, `demand`, or a mapping (key: value)"),
        ("way_back: nope", "way_back: found `nope`, expected one of `warn`, `demand`"),
        (
            "way_back: {mising: warn}",
            "way_back.mising: found an unknown key, expected one of missing, platforms; did you mean `missing`?",
        ),
        (
            "policy_waivers: [{app: a, rule: r, reason: '', until: 2027-01-01, who: a}]",
            "policy_waivers[0].reason: found ``, expected a text that says something",
        ),
    ],
)
def test_a_mistake_of_an_environment_is_one_sentence_at_its_place(project, written: str, sentence: str) -> None:
    project.environment("production", written)
    with pytest.raises(SpecError) as caught:
        load_environment("production", project.config)
    assert [str(it) for it in (caught.value, *caught.value.also)] == [f"production.yaml: {sentence}"]


@pytest.mark.parametrize(
    "key",
    ["verify", "way_back", "advisories", "demands", "operators_allowed", "dags_allowed", "policy_waivers", "approvers"],
)
def test_a_key_of_an_environment_in_an_app_is_told_so(project, key: str) -> None:
    sentence = f"storefront.yaml: {key}: found a key that belongs into an environment's file, expected it there"
    assert told(project, f"{key}: []") == [sentence]


@pytest.mark.parametrize("key", ["sign", "sbom", "scan", "stages", "leave_out", "build", "strategy"])
def test_a_key_of_an_app_in_an_environment_is_told_so(project, key: str) -> None:
    project.environment("production", f"{key}: []")
    with pytest.raises(SpecError) as caught:
        load_environment("production", project.config)
    assert (
        str(caught.value) == f"production.yaml: {key}: found a key that belongs into an app's file, expected it there"
    )


def test_a_platform_that_is_none_is_told_in_the_file_of_its_environment(project) -> None:
    project.environment("production", "way_back: {missing: demand, platforms: [amd64]}")
    expected = "way_back.platforms: found `amd64`, expected platforms like linux/amd64"
    assert told(project, "") == [f"production.yaml: {expected}"]
    project.environment("production", "time_zone: UTC")
    base = project.config / "base.yaml"
    base.write_text(
        (base.read_text() if base.is_file() else "") + "\nway_back: {missing: demand, platforms: [amd64]}\n"
    )
    assert told(project, "") == [f"base.yaml: {expected}"]


def test_a_vex_document_is_missed_in_the_folder_that_is_named(project, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("RELEASE_PIPELINES_VEX", raising=False)
    assert told(project, "scan: {vex: [gone.json]}")[0].endswith("expected a file gone.json in include/vex/")
    monkeypatch.setenv("RELEASE_PIPELINES_VEX", str(tmp_path / "documents"))
    assert told(project, "scan: {vex: [gone.json]}")[0].endswith(f"expected a file gone.json in {tmp_path}/documents/")


def test_every_pattern_of_the_files_has_words(project) -> None:
    """A pattern that is new needs words, too."""
    import json

    from release_pipelines.spec import sentences
    from release_pipelines.spec.app import AppSpec
    from release_pipelines.spec.environment import EnvironmentSpec

    def patterns(schema):
        if isinstance(schema, dict):
            yield from [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
            for it in schema.values():
                yield from patterns(it)
        elif isinstance(schema, list):
            for it in schema:
                yield from patterns(it)

    found = {
        it for model in (AppSpec, EnvironmentSpec) for it in patterns(json.loads(json.dumps(model.model_json_schema())))
    }
    assert len(found) > 5
    assert found - sentences._PATTERNS.keys() == set()


class Inner(BaseModel, extra="forbid"):
    size: int


class Outer(BaseModel, extra="forbid"):
    one: Inner | list[Inner] | Literal["none"] | None = None
    named: dict[str, list[Inner]] = {}
    text: Annotated[str, Field(min_length=1)] | None = None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"one": {"siz": 1, "size": 1}}, [("one.siz", "an unknown key", "one of size; did you mean `size`?")]),
        ({"one": [{"size": "a"}]}, [("one[0].size", "`a`", "a whole number")]),
        ({"one": 7}, [("one", "7", "a list, or `none`, or a mapping (key: value)")]),
        (
            {"named": {"a": [{"size": 1}, {"sise": 1, "size": 2}]}},
            [("named.a[1].sise", "an unknown key", "one of size; did you mean `size`?")],
        ),
        ({"named": {5: []}}, [("named.5", "5", "text (put it in quotes)")]),
        ({"one": [7]}, [("one[0]", "7", "a mapping (key: value)")]),
        ({"text": ""}, [("text", "``", "a text that says something")]),
    ],
)
def test_unions_and_maps_are_told_by_what_stands_in_the_file(data, expected) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    assert list(mistakes_of(caught.value, Outer, data)) == expected


def test_no_word_of_the_library_is_in_any_sentence(project) -> None:
    project.app(
        "scan: {known_exploited: [], epss: {at_least: x}, exceptions: [{id: 5, component: '', reason: [], until: 2027-01-01 10:00:00}]}\n"
        "stages: [{name: '', after: 5, timeout: x, retries: 1.5, container: {command: x, exit_codes: [a]}}]\n"
        "analysis: 5\npolicies: ['']\nlatest_start: []\nstarts: {branch: 5, asset: ' '}\nsign: {key: 5}\nmove: {a: 5}\nleave_out: {}"
    )
    said = [str(it) for it in app_errors(project.apps, project.config)]
    assert len(said) > 12
    assert [it for it in said if any(word in it for word in NOT_OURS)] == []


def test_the_example_of_findings_is_valid_with_what_the_page_says_that_it_needs(project, monkeypatch, tmp_path) -> None:
    import re
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "findings.md").read_text()
    example, feeds = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    monkeypatch.setenv("RELEASE_PIPELINES_VEX", str(tmp_path))
    build = "build: {repository: https://git.example.org/shop.git}\n"
    assert [it.partition(": found")[0].partition(": ")[2] for it in told(project, build + example)] == [
        "scan.vex[0]",
        "scan.known_exploited",
        "scan.epss",
    ]
    (tmp_path / "storefront.openvex.json").write_text('{"@context": "https://openvex.dev/ns/v0.2.0", "statements": []}')
    project.environment("staging", feeds)
    load_release(project.app(build + example), project.config, project.analyses)
