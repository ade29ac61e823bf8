"""Weights, metrics, what is brought, who said what, and the way back."""

from __future__ import annotations

import json

import pytest

from release_pipelines.core.findings.comparison import Serving
from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.model.progress import TrackNow
from release_pipelines.core.model.records import COMMITS, Approval, ReleaseDetail
from release_pipelines.core.model.sighting import Sighting, TrackSeen
from release_pipelines.core.sarif import REPORT, write
from release_pipelines.core.status.links import commit_link
from release_pipelines.core.status.metrics import looked
from release_pipelines.core.status.model import ReleaseStatus, Tracks
from release_pipelines.core.status.state import line_in, status_of
from tests.core.findings.findings import NOW, exemption, flaw, found, rules, unknown
from tests.core.status.stories import (
    ASKED,
    CHECKED,
    ID,
    LINE,
    NEW,
    OLD,
    PRODUCTION,
    STAGING,
    STEP_10,
    T,
    bound,
    command,
    deployed,
    event,
    holding,
    in_step_10,
    release,
    samples,
    verdict,
)


def of(told: ReleaseDetail, now: float = 260, **more: object) -> ReleaseStatus:
    return status_of(told, now=T + now, **{"line": LINE, **more})  # type: ignore[arg-type]


def test_weights_and_replicas_have_the_age_of_the_look_and_not_of_the_row() -> None:
    tracks = of(in_step_10()).tracks
    assert (tracks.at, tracks.source, tracks.environment) == (T + 247, "stage", "production")
    assert [(it.track, it.weight, it.ready, it.wanted) for it in tracks.tracks] == [
        ("stable", 90, 4, 4), ("canary", 10, 1, 1),
    ]  # fmt: skip


def test_the_newest_look_counts_whoever_looked() -> None:
    seen = Tracks(at=T + 255, tracks=[TrackNow(track="stable", weight=100, ready=3, wanted=4)], source="observed")
    assert of(in_step_10(), looked=seen).tracks.source == "observed"
    assert of(in_step_10(), looked=seen.model_copy(update={"at": T + 100})).tracks.source == "stage"


def test_what_was_seen_counts_where_the_release_works_and_while_it_does() -> None:
    seen = [TrackSeen(track="stable", weight=100, ready=4, wanted=4, version="1.0.0", digest=OLD)]
    here = Sighting(app="shop", environment="production", looked_at=T + 255, observed_at=T + 255, tracks=seen)
    elsewhere = here.model_copy(update={"environment": "staging"})
    tracks = looked(in_step_10(), [elsewhere, here])
    assert tracks is not None
    assert (tracks.at, tracks.environment, tracks.source) == (T + 255, "production", "observed")
    assert [(it.track, it.weight, it.version) for it in tracks.tracks] == [("stable", 100, "1.0.0")]
    assert looked(in_step_10(), [elsewhere]) is None
    assert looked(in_step_10(), [here.model_copy(update={"observed_at": None})]) is None
    assert looked(in_step_10(outcome="aborted"), [here]) is None


def test_a_stage_of_an_earlier_version_tells_its_weight_alone() -> None:
    told = of(in_step_10(progress=holding(250, tracks=[], metrics=[], seen_at=None)))
    assert [(it.track, it.weight) for it in told.tracks.tracks] == [("stable", 90), ("canary", 10)]
    assert told.metrics == []
    assert told.measured == ["error rate 0.2 % over 1,204 requests, limit 1 % (stable: 0.1 %)"]
    assert told.missing == ["cpu: the query gave no number"]


def test_between_stages_the_weight_is_what_was_told_then() -> None:
    told = of(in_step_10(progress=None))
    assert (told.tracks.source, told.tracks.at) == ("event", T + 120)
    assert [it.weight for it in told.tracks.tracks] == [90, 10]
    ended = of(in_step_10(progress=None, outcome="released", ended_at=T + 999))
    assert (ended.tracks.at, ended.tracks.tracks) == (None, [])


def test_every_metric_is_live_with_its_evidence_and_what_could_not_be_measured() -> None:
    errors, cpu = of(in_step_10()).metrics
    assert (errors.value, errors.stable, errors.limit, errors.evidence, errors.threshold) == (
        0.002, 0.001, 0.01, 0.4, 7.6,
    )  # fmt: skip
    assert (errors.live, errors.step, errors.at) == (True, "step_10", T + 250)
    assert (cpu.value, cpu.missing, cpu.critical) == (None, "cpu: the query gave no number", False)


def test_afterwards_a_metric_is_as_it_was_judged_last() -> None:
    told = in_step_10(
        progress=None,
        verdicts=[verdict(419, "step_10", 10), verdict(720, "step_50", 50, "fail", 0.048)],
        measurements=[*samples(130, "step_10"), *samples(430, "step_50")],
        outcome="rolled_back",
    )
    [errors] = of(told).metrics
    assert (errors.step, errors.judgement, errors.value, errors.live) == ("step_50", "fail", 0.048, False)
    assert errors.stable == pytest.approx(0.001)
    [series] = of(told).series
    assert [(it.step, it.limit, len(it.points)) for it in series.spans] == [
        ("step_10", 0.01, 30),
        ("step_50", 0.01, 30),
    ]
    assert series.spans[0].points[0] == (T + 130, 0.002, 0.001)


def test_the_line_of_a_metric_goes_on_in_the_stage_that_is_going_on() -> None:
    told = in_step_10(
        progress=holding(500, "step_50", 50, began_at=T + 420),
        verdicts=[verdict(419, "step_10", 10)],
        measurements=samples(130, "step_10"),
    )
    errors = next(it for it in of(told, 510).series if it.metric == "errors")
    assert {it.step for it in errors.spans} == {"step_10", "step_50"}
    assert errors.unit == "share"


def test_a_long_release_is_thinned_out_and_loses_no_count() -> None:
    told = in_step_10(progress=None, measurements=samples(130, "step_10", 2500), verdicts=[verdict(419, "step_10", 10)])
    [span] = of(told).series[0].spans
    assert len(span.points) <= 60
    assert {round(new or 0, 6) for _, new, _ in span.points} == {0.002}


def test_what_it_brings_has_links_to_its_forge() -> None:
    commits = [{"sha": "c0ffee1234", "authored_at": "2026-09-01T08:00:00+00:00", "counts": True}, {"sha": "<b>"}, "x"]
    sbom = "sbom-image-linux-amd64.json"
    told = of(bound(), texts={COMMITS: json.dumps(commits)}, attached=[COMMITS, sbom]).deployed
    assert told.commit is not None
    assert told.commit.link == "https://github.com/acme/shop/commit/c0ffee1234"
    assert [(it.sha, it.link is not None) for it in told.commits or []] == [("c0ffee1234", True), ("<b>", False)]
    assert (told.digest, told.image, told.sboms) == (NEW, "registry.example/shop", [sbom])
    assert of(bound(), texts={COMMITS: "not json"}).deployed.commits is None
    assert of(bound()).deployed.commits is None


@pytest.mark.parametrize(
    ("repository", "link"),
    [
        ("https://git.example.com/acme/shop.git", "https://git.example.com/acme/shop/commit/c0ffee1"),
        ("https://bot:tok3n@git.example.com/acme/shop.git", "https://git.example.com/acme/shop/commit/c0ffee1"),
        ("HTTPS://git.example.com:8443/acme/shop", "https://git.example.com:8443/acme/shop/commit/c0ffee1"),
        ("git@github.com:acme/shop.git", "https://github.com/acme/shop/commit/c0ffee1"),
        ("ssh://git@git.example.com:2222/acme/shop.git", "https://git.example.com/acme/shop/commit/c0ffee1"),
        ("https://bitbucket.org/acme/shop", "https://bitbucket.org/acme/shop/commits/c0ffee1"),
        ('https://git.example.com/a b/"><x', "https://git.example.com/a%20b/%22%3E%3Cx/commit/c0ffee1"),
        ("javascript:alert(1)", None),
        ("java\tscript:alert(1)", None),
        ("data:text/html,x", None),
        ("//evil.example/x", None),
        ("file:///srv/shop", None),
        ("repositories/shop", None),
        ("https://[", None),
        ("", None),
        (None, None),
    ],
)
def test_a_commit_is_a_link_where_its_forge_is_known_and_never_signs_in(
    repository: str | None, link: str | None
) -> None:
    assert commit_link(repository, "c0ffee1") == link
    assert commit_link(repository, "../../x") is None


def test_findings_are_counted_also_new_fixed_excepted_and_what_nobody_looked_at() -> None:
    before = Serving("1.0.0", {"trivy": [found(flaw("CVE-2026-1"), flaw("CVE-2026-3"))]})
    now = {"trivy": [found(flaw("CVE-2026-1"), flaw("CVE-2026-2"))], "osv": [unknown()]}
    judgement = judge(now, rules(exceptions=[exemption("CVE-2026-1")]), NOW, serving=before)
    told = of(bound(), texts={REPORT: write(judgement)}).deployed.findings
    assert told is not None
    assert (told.blocking, told.undecided, told.excepted, told.passing) == (1, 0, 1, 0)
    assert (told.new, told.fixed) == (1, 1)
    assert told.not_looked_at == ["unknown: trivy could not look."]
    assert of(bound(), texts={REPORT: '{"runs": []}'}).deployed.findings is None


def test_answers_commands_and_remarks_are_one_list_in_the_order_of_time() -> None:
    told = in_step_10(
        commands=[
            command(200, "pause", reason="lunch", answered_at=T + 200.4, effect="The clock stands still."),
            command(240, "abort", reason="500s", by="dave"),
        ],
        events=[*in_step_10().events, event(95, "not_counted", sentence="erin answered, which does not count.")],
    )
    said = of(told).said
    assert [(it.what, it.by) for it in said] == [
        ("asked for it", "alice"), ("not counted", None), ("approved", "bob"), ("pause", "carol"), ("abort", "dave"),
    ]  # fmt: skip
    pause, abort = said[-2:]
    assert (pause.text, pause.effect, pause.open) == ("lunch", "The clock stands still.", False)
    assert (abort.effect, abort.open) == (None, True)


PLAN = {"kind": "return_traffic", "version": "1.0.0", "digest": OLD, "sentence": "x"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (bound(events=[CHECKED, STAGING]), ("not touched", None, None)),
        (in_step_10(), ("would", "1.0.0", OLD)),
        (in_step_10(events=[CHECKED, deployed(110, "production", first=True)]), ("none", None, None)),
        (in_step_10(events=[PRODUCTION, event(300, "rollback", "production", PLAN)]), ("goes", "1.0.0", OLD)),
        (
            in_step_10(events=[PRODUCTION, event(300, "rollback", "production", PLAN)], outcome="rolled_back"),
            ("went", "1.0.0", OLD),
        ),
        (
            in_step_10(events=[PRODUCTION, event(300, "rollback", "production", PLAN)], outcome="rollback_failed"),
            ("failed", "1.0.0", OLD),
        ),
        (in_step_10(promoted_at=T + 900, outcome="released"), ("over", "1.0.0", OLD)),
        (in_step_10(events=[event(110, "deployed", "production", {})]), ("unknown", None, None)),
        (
            in_step_10(events=[deployed(110, "production", good={"version": "0.9.0", "digest": OLD})]),
            ("would", "0.9.0", OLD),
        ),
    ],
)
def test_the_way_back_names_its_version_and_its_digest(told: ReleaseDetail, expected: tuple[str, ...]) -> None:
    way = of(told).way_back
    assert (way.state, way.version, way.digest) == expected
    assert way.sentence


def test_the_whole_state_is_json_both_ways_and_keeps_what_a_later_version_adds() -> None:
    told = of(in_step_10(measurements=samples(130, "step_10"), verdicts=[]), texts={COMMITS: "[]"})
    text = told.model_dump_json()
    assert ReleaseStatus.model_validate_json(text) == told
    later = {**json.loads(text), "later": 1}
    assert json.loads(ReleaseStatus.model_validate_json(json.dumps(later)).model_dump_json())["later"] == 1


def test_a_damaged_line_is_none() -> None:
    assert line_in("{") is None
    assert line_in(None) is None
    assert line_in(LINE.model_dump_json()) == LINE


def test_a_sentence_is_there_at_each_moment() -> None:
    for told in (
        release(), bound(events=[CHECKED, STAGING, ASKED]), in_step_10(), in_step_10(progress=None),
        in_step_10(verdicts=[verdict(300, "step_10", 10, "fail", 0.048)], progress=None),
        release(outcome="superseded"), release(id="release_rollback/x#0", dag_id="release_rollback"),
    ):  # fmt: skip
        assert of(told).sentence.endswith(".")
    assert Approval(release_id=ID, digest=NEW, decision="expired", at=T).by is None
    assert STEP_10.kind == "traffic"
