"""What is valid and may be meant otherwise is read as it stands, and said (R12)."""

from __future__ import annotations

import json

import pytest

from release_pipelines.spec.frozen import freeze, frozen
from release_pipelines.spec.release import ReleaseSpec, load_release


def remarks(project, text: str) -> list[str]:
    return load_release(project.app(text), project.config, project.analyses).remarks


def of(metric: str) -> str:
    return f"analysis: {{metrics: [{{name: a, {metric}}}, {{name: b, source: errors, limit: 1%}}]}}\n"


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("source: errors, limit: 1", "limit: 1 is read as 100 %: `1%` if that is meant, else `100%`"),
        ("source: errors, limit: 0.5", "limit: 0.5 is read as 50 %: `0.5%` if that is meant, else `50%`"),
        ("bad: x, total: y, limit: 0.1", "limit: 0.1 is read as 10 %: `0.1%` if that is meant, else `10%`"),
        ("source: cpu, limit: 1", "limit: 1 is read as 100 %: `1%` if that is meant, else `100%`"),
        ("source: errors, limit: 1%, margin: 1", "margin: 1 is read as 100 %: `1%` if that is meant, else `100%`"),
        (
            "source: slow_requests, limit: 1%, slower_than: 500",
            "slower_than: 500 is read as 500 s: `500ms` if that is meant, else `500s`",
        ),
    ],
)
def test_a_bare_number_whose_meaning_is_not_sure_is_told_with_both_meanings(project, metric: str, said: str) -> None:
    limits = "workloads: [{cpu: 1, memory: 256Mi}]\n"
    assert remarks(project, limits + of(metric)) == [f"storefront.yaml: analysis.metrics[0].{said}"]


@pytest.mark.parametrize(
    "metric",
    [
        "source: errors, limit: 1%",
        "source: errors, limit: 0.01",
        "source: errors, limit: 0",
        "source: errors, limit: 50%",
        "source: errors, limit: 100%",
        "source: cpu, limit: 0.8",
        "source: slow_requests, limit: 1%, slower_than: 0.5",
        "source: slow_requests, limit: 1%, slower_than: 2",
        "source: slow_requests, limit: 1%, slower_than: 500s",
        "query: sum(depth), limit: 500",
    ],
)
def test_what_is_clear_is_not_talked_about(project, metric: str) -> None:
    assert remarks(project, "workloads: [{cpu: 1, memory: 256Mi}]\n" + of(metric)) == []


def test_a_doubtful_number_is_found_wherever_an_analysis_stands(project) -> None:
    (project.analyses / "strict.yaml").write_text("metrics: [{name: errors, source: errors, limit: 1}]\n")
    own = "{metrics: [{name: errors, source: errors, limit: 1}]}"
    text = f"analysis: strict\nstrategy: {{canary: {{steps: [{{weight: 5, hold: 1m}}, {{weight: 9, hold: 1m, analysis: {own}}}]}}}}"
    assert [it.partition(": 1 is read")[0] for it in remarks(project, text)] == [
        "strict.yaml: metrics[0].limit",
        "storefront.yaml: strategy.canary.steps[1].analysis.metrics[0].limit",
    ]


def test_thousands_of_cores_may_be_thousandths(project) -> None:
    said = "storefront.yaml: workloads[0].cpu: 500 is read as so many cores: `0.5` if thousandths of a core are meant"
    assert remarks(project, "workloads: [{cpu: 500}]") == [said]


def test_a_release_keeps_what_was_doubtful_in_its_files_and_reads_specifications_of_before(
    project, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    spec = load_release(project.app(of("source: errors, limit: 1")), project.config, project.analyses)
    freeze("release_storefront/one", spec)
    kept = frozen("storefront")
    assert kept == spec
    assert kept.remarks == spec.remarks != []
    clear = load_release(project.app(), project.config, project.analyses)
    assert "remarks" not in clear.model_dump(mode="json")  # earlier versions refuse it
    assert ReleaseSpec.model_validate_json(json.dumps(clear.model_dump(mode="json"))).remarks == []


@pytest.mark.parametrize("key", ["when_closed: refuse", "latest_start: 1h", "on_close: pause"])
def test_what_happens_by_calendars_has_no_effect_where_none_is_named(project, key: str) -> None:
    name = key.partition(":")[0]
    said = f"storefront.yaml: {name}: it has no effect: neither the app nor one of its environments names `calendars`"
    assert remarks(project, key) == [said]
    assert remarks(project, f"{key}\ncalendars: [nights]") == []
    project.environment("production", "name: production\ncalendars: [nights]")
    assert remarks(project, key) == []


@pytest.mark.parametrize(
    ("on_close", "told"),
    [
        ("{policy: finish, limit: 4h}", True),
        ("{limit: 4h}", True),
        ("{policy: finish, limit: 4h, stages: {bake: pause}}", False),
        ("{policy: pause, limit: 4h}", False),
        ("finish", False),
    ],
)
def test_a_limit_of_pauses_has_no_effect_where_nothing_is_paused(project, on_close: str, told: bool) -> None:
    said = "storefront.yaml: on_close.limit: it has no effect: nothing is paused by this `on_close`"
    assert remarks(project, f"calendars: [nights]\non_close: {on_close}") == ([said] if told else [])


@pytest.mark.parametrize(
    ("repository", "told"),
    [
        ("https://ada:hunter2@git.example/shop.git", True),
        ("https://hunter2@git.example/shop.git", True),
        ("ssh://git:hunter2@git.example/shop.git", True),
        ("ssh://git@git.example/shop.git", False),
        ("git@git.example:shop.git", False),
        ("https://git.example/shop.git", False),
        ("https://git.example/a@b/shop.git", False),
    ],
)
def test_a_login_in_the_address_of_the_source_is_told_and_never_shown(project, repository: str, told: bool) -> None:
    said = remarks(project, f"build: {{repository: '{repository}'}}\n")
    assert [it.partition(": it has a login")[0] for it in said] == ["storefront.yaml: build.repository"] * told
    assert "hunter2" not in str(said)
