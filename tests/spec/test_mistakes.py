"""R12: a mistake is one sentence with file, path, what stood there and what is expected."""

from __future__ import annotations

import pytest

from release_pipelines.core.promql import broken
from release_pipelines.spec.loader import SpecError, load_environment
from release_pipelines.spec.release import app_errors, load_release, release_specs


def mistake(project, text: str) -> str:
    path = project.app(text)
    with pytest.raises(SpecError) as caught:
        load_release(path, project.config, project.analyses)
    return str(caught.value)


EXCEPTION = "id: CVE-2026-1, reason: r, who: ada"
MISTAKES = {
    "an exception for every component": (
        f"scan: {{exceptions: [{{{EXCEPTION}, until: 2026-12-31}}]}}",
        "storefront.yaml: scan.exceptions[0].component: found nothing, expected a value: this key is required",
    ),
    "an exception for what is no component": (
        f"scan: {{exceptions: [{{{EXCEPTION}, until: 2026-12-31, component: 'pkg:npm'}}]}}",
        "scan.exceptions[0].component: found `pkg:npm`, expected a package URL like pkg:npm/left-pad@1.3.0, or the path",
    ),
    "an exception without an end": (
        f"scan: {{exceptions: [{{{EXCEPTION}, until: later, component: 'pkg:npm/a'}}]}}",
        "scan.exceptions[0].until: found `later`, expected a day like 2027-03-31",
    ),
    "a licence that SPDX does not know": (
        "scan: {licences: {allow: [MIT, BSD]}}",
        "scan.licences.allow: found `BSD`, expected licences by their SPDX ids, each alone",
    ),
    "an exception until a number": (
        f"scan: {{exceptions: [{{{EXCEPTION}, until: 20261231, component: 'pkg:npm/a'}}]}}",
        "scan.exceptions[0].until: found 20261231, expected a day like 2027-03-31",
    ),
    "a command over a source that is not there": (
        "scan: {sarif: [{name: own, command: [look], report: own.sarif}]}",
        "scan.sarif: found no `build`, expected `build`, whose source is scanned",
    ),
    "rules over what nobody looks at": (
        "scan: {data_older_than: 3d, only_fixable: true}",
        "scan: found `data_older_than` and `only_fixable`, with which all findings are judged, and nothing that looks, "
        "expected `image_scanners`, `ecr`, or `build` with `scanners` or `sarif`",
    ),
    "rules over what is left out": (
        "build: {repository: r}\nscan: {only_fixable: true}\nleave_out: [scan.bandit, hadolint]",
        "scan: found `only_fixable`, with which all findings are judged, and nothing that looks",
    ),
    "a command that is called like another task": (
        "build: {repository: r}\nsbom: true\nscan: {sarif: [{name: sbom, command: [look], report: own.sarif}]}",
        "scan.sarif[0].name: found `sbom`, as another task of `scan` is called, expected a name of its own",
    ),
    "advisories without their place": (
        "scan: {image_scanners: [trivy, advisories]}",
        "scan.image_scanners[1]: found `advisories`, expected `advisories.osv` in staging.yaml or base.yaml",
    ),
    "a report outside of the source": (
        "build: {repository: r}\nscan: {sarif: [{name: own, command: [look], report: ../own.sarif}]}",
        "scan.sarif[0].report: found `../own.sarif`, expected a path that stays in the folder",
    ),
    "a report at a place of its own": (
        "build: {repository: r}\nscan: {sarif: [{name: own, command: [look], report: /tmp/own.sarif}]}",
        "scan.sarif[0].report: found `/tmp/own.sarif`, expected a path that stays in the folder",
    ),
    "a script outside of its folder": (
        "stages: [{name: own, after: staging, performance: {script: a/../../b.js}}]",
        "stages[0].performance.script: found `a/../../b.js`, expected a path that stays in the folder",
    ),
    "a variable of two values": (
        "stages: [{name: own, after: staging, container: {command: [x], env: {A: b}, secrets: {A: {variable: a}}}}]",
        "stages[0].container: found `A` in `env` and in `secrets`, expected each variable once",
    ),
    "an address with a password": (
        "stages: [{name: own, after: staging, http: {url: 'https://ada:hunter2@it.example/'}}]",
        "stages[0].http.url: found one with them, expected an address without user and password, or `connection`",
    ),
    "the released image before there is one": (
        "build: {repository: r}\nstages: [{name: own, before: build.build_image, container: {command: [x]}}]",
        "stages[0].container: found no `image`, expected `image`, or a place after `artifact`",
    ),
    "the released image before it is recorded": (
        "stages: [{name: own, before: artifact, container: {command: [x]}}]",
        "stages[0].container: found no `image`, expected `image`, or a place after `artifact`",
    ),
    "a digest before there is one": (
        "stages: [{name: own, after: preflight, container: {image: a, command: [x, 'of {digest}']}}]",
        "stages[0].container: found `{digest}`, expected a place after `artifact`: the image is not known before",
    ),
    "an image in an address before there is one": (
        "build: {repository: r}\nstages: [{name: own, after: push_image, http: {path: '/{image}'}}]",
        "stages[0].http: found `{image}`, expected a place after `artifact`: the image is not known before",
    ),
    "licences of which none is named": (
        "scan: {licences: {}}",
        "scan.licences: found neither, expected `allow` or `deny`",
    ),
    "a list without its place": ("scan: {known_exploited: true}", "scan.known_exploited: found `true`"),
    "scores without their place": ("scan: {epss: {at_least: 10%}}", "scan.epss: found no `data`"),
    "a VEX document that is not there": (
        "scan: {vex: [gone.json]}",
        "scan.vex[0]: found `gone.json`, expected a file gone.json in include/vex/",
    ),
    "a VEX document elsewhere": (
        "scan: {vex: [../a.json]}",
        "found `../a.json`, expected the name of a file in the folder of VEX documents",
    ),
    "an unknown key names its close match": (
        "strategy: {canary: {stepz: []}}",
        "storefront.yaml: strategy.canary.stepz: found an unknown key, expected one of steps, bake, replicas, "
        "affinity, return_weights, return_hold, retire_after, auto_rollback, on_drift; did you mean `steps`?",
    ),
    "an unknown key at the top": ("ownr: me", "storefront.yaml: ownr: found an unknown key, expected one of"),
    "a wrong type": ("workloads: [{replicas: many}]", "workloads[0].replicas: found `many`, expected a whole number"),
    "starts without anything": ("starts: {}", "starts: found nothing that starts a release, expected `branch`, `tags`"),
    "a branch where versions are no commits": (
        "build: {repository: r}\nstarts: {branch: main}",
        "starts.branch: found versions that are no commits (version_scheme: semver), expected `version_scheme: commit`",
    ),
    "tags of an app that is built elsewhere": (
        "starts: {tags: true}",
        "starts.tags: found an image that is built elsewhere, expected `build` with the repository",
    ),
    "a registry of an app that is built here": (
        "build: {repository: r}\nstarts: {registry: true}",
        "starts.registry: found an image that is built here (`build`), expected `starts.tags: true`",
    ),
    "an asset with a space": ("starts: {asset: 'a b'}", "starts.asset: found `a b`"),
    "an asset of Airflow's own": ("starts: {asset: 'airflow:a'}", "starts.asset: found `airflow:a`"),
    "a key of starts that is none": ("starts: {tag: true}", "did you mean `tags`?"),
    "a number where text is wanted": (
        "workloads: [{env: {PORT: 8080}}]",
        "workloads[0].env.PORT: found 8080, expected text (put it in quotes)",
    ),
    "a list where a mapping is wanted": ("build: [a]", "build: found a list of 1, expected a mapping (key: value)"),
    "a required key": ("build: {}", "build.repository: found nothing, expected a value: this key is required"),
    "a tag without its version": (
        "build: {repository: r, tag: latest}",
        "build.tag: found `latest`, expected a template with `{version}`, like v{version}",
    ),
    "an image's tag that a registry does not take": (
        "image_tag: 'release/{version}'",
        "image_tag: found `release/{version}`, expected a tag of an image: letters, digits, `.`, `_` and `-`",
    ),
    "a secret of two sources": (
        "build: {repository: r, secrets: {npm: {variable: a, connection: b}}}",
        "build.secrets.npm: found",
    ),
    "a secret's value in the file": (
        "build: {repository: r, secrets: {npm: hunter2}}",
        "build.secrets.npm: found `hunter2`, expected a mapping (key: value)",
    ),
    "weights that do not rise": (
        "strategy: {canary: {steps: [{weight: 50, hold: 1m}, {weight: 10, hold: 1m}]}}",
        "storefront.yaml: strategy.canary.steps: found [50, 10], expected rising weights",
    ),
    "a weight above 100": (
        "strategy: {canary: {steps: [{weight: 5, hold: 1m}, {weight: 120, hold: 1m}]}}",
        "storefront.yaml: strategy.canary.steps[1].weight: found 120, expected 99 or less",
    ),
    "weights on the way back that rise": (
        "strategy: {canary: {return_weights: [10, 50]}}",
        "strategy.canary.return_weights: found [10, 50], expected falling weights",
    ),
    "a duration in words": (
        "strategy: {canary: {bake: ten minutes}}",
        "strategy.canary.bake: found `ten minutes`, expected a duration like 30s, 5m or 1h30m",
    ),
    "a share in words": (
        "analysis: {metrics: [{name: errors, source: errors, limit: low%}]}",
        "analysis.metrics[0].limit: found `low%`, expected a share like 1% or 0.01",
    ),
    "a limit that is no number": (
        "analysis: {metrics: [{name: errors, source: errors, limit: .nan}]}",
        "analysis.metrics[0].limit: found nan, expected a share like 1% or 0.01",
    ),
    "an analysis that does not exist": ("analysis: strict", "analysis: found `strict`, expected one of default"),
    "an analysis of the wrong type": ("analysis: 3", "storefront.yaml: analysis: found 3, expected text"),
    "a step's analysis with a mistake": (
        "strategy: {canary: {steps: [{weight: 5, hold: 1m, analysis: {metrics: [{name: x, source: error, limit: 1}]}}]}}",
        "strategy.canary.steps[0].analysis.metrics[0].source: found `error`, expected one of `errors`, `slow_requests`",
    ),
    "a strategy that is none": (
        "strategy: roling",
        "strategy: found `roling`, expected",
    ),
    "a strategy that is almost one": (
        "strategy: canari",
        "strategy: found `canari`, expected one of `canary`, `blue_green` or `rolling`",
    ),
    "no strategy behind its key": (
        "strategy:",
        "strategy: found nothing, expected one of `canary`, `blue_green` or `rolling`",
    ),
    "a tab": ("build:\n\trepository: x", "storefront.yaml: line 3: found a tab, expected spaces"),
    "a control character": (
        "owner: a\x08b",
        "storefront.yaml: line 2: found a character that is no text (0x08), expected text",
    ),
    "PromQL with an open bracket": (
        "analysis: {metrics: [{name: queue, query: 'sum(depth{app=\"shop\"}', limit: 5}]}",
        "analysis.metrics[0].query: found a `(` without its `)`, expected PromQL that is complete",
    ),
    "PromQL with an open text": (
        "analysis: {metrics: [{name: queue, query: 'depth{app=\"shop}', limit: 5}]}",
        'analysis.metrics[0].query: found a quote " without its end',
    ),
    "PromQL with a bracket too many": (
        "analysis: {metrics: [{name: queue, query: 'sum(depth))', limit: 5}]}",
        "analysis.metrics[0].query: found a `)` that nothing opens",
    ),
    "two strategies": (
        "strategy: {canary: {}, rolling: {}}",
        "strategy: found the keys canary, rolling, expected exactly one of `canary`, `blue_green` or `rolling`",
    ),
    "a step whose analysis is missing": (
        "strategy: {canary: {steps: [{weight: 5, hold: 1m, analysis: }]}}\nanalysis: nowhere",
        "analysis: found `nowhere`, expected one of default",
    ),
    "a metric with two sources": (
        "analysis: {metrics: [{name: errors, source: errors, query: up, limit: 1%}]}",
        "analysis.metrics[0]: found the keys name, source, query, limit, expected exactly one of `source`",
    ),
    "a placeholder that means nothing": (
        "analysis: {metrics: [{name: queue, query: 'depth{app=\"{{ ap }}\"}', limit: 5}]}",
        "analysis.metrics[0].query: found {{ ap }}, expected one of {{ app }}, {{ track }}",
    ),
    "only metrics that cannot decide": (
        "analysis: {metrics: [{name: cpu, source: cpu, limit: 80%}]}",
        "analysis.metrics: found only CPU or memory, without limits, expected a metric that can decide",
    ),
    "measurements that do not fit into the hold": (
        "analysis: {interval: 1m, window: 1m, patience: 0, min_measurements: 3, "
        "metrics: [{name: errors, source: errors, limit: 1%}]}\n"
        "strategy: {canary: {steps: [{weight: 5, hold: 2m}]}}",
        "analysis.min_measurements: found 3 every 60 s, expected so many that fit into the shortest hold",
    ),
    "a window shorter than the interval": (
        "analysis: {interval: 30s, window: 10s, metrics: [{name: errors, source: errors, limit: 1%}]}",
        "analysis.window: found 10 s, expected at least the interval (30 s)",
    ),
    "a kind that cannot share traffic": (
        "workloads: [{kind: StatefulSet}]",
        "workloads[0].kind: found `StatefulSet`, expected `Deployment`: other kinds cannot share traffic by weight",
    ),
    "two workloads": ("workloads: [{}, {}]", "storefront.yaml: workloads: found a list of 2, expected at most 1"),
    "no step": ("strategy: {canary: {steps: []}}", "strategy.canary.steps: found a list of 0, expected at least 1"),
    "a key that is given twice": ("owner: a\nowner: b", "storefront.yaml: line 3: found the key `owner` a second time"),
    "broken YAML": ("owner: [a", "found something that is not YAML ("),
    "a date that does not exist": (
        "owner: 2026-13-45",
        "storefront.yaml: line 2: found `2026-13-45` (month must be in 1..12), expected a day, a time or a number",
    ),
    "a number that is none": ("owner: !!int many", "storefront.yaml: line 2: found `many` (invalid literal"),
    "an environment without a file": (
        "environments: [prodution]",
        "environments[0].name: found `prodution`, expected one of",
    ),
    "the same environment twice": (
        "environments: [staging, staging]",
        "environments: found staging, staging, expected",
    ),
    "a future schema": ("schema_version: 2", "schema_version: found 2, expected 1"),
    "a port that is none": ("workloads: [{port: 0}]", "workloads[0].port: found 0, expected 1 or more"),
    "a limit that nothing can pass": (
        "analysis: {metrics: [{name: errors, source: errors, limit: 150%}]}",
        "analysis.metrics[0]: found 150%, expected a `limit` from 0 to 100%",
    ),
    "a path without its slash": (
        "smoke_test: [cart]",
        "storefront.yaml: smoke_test[0]: found `cart`, expected a path that begins with /",
    ),
    "a hold of nothing": (
        "strategy: {canary: {steps: [{weight: 5, hold: 0s}]}}",
        "strategy.canary.steps[0].hold: found `0s`, expected a duration above 0",
    ),
    "a path that is none": ("workloads: [{health: up}]", "health: found `up`, expected a path that begins with /"),
    "a size without its unit": ("workloads: [{memory: 256}]", "memory: found `256`, expected a size like 256Mi or 1Gi"),
    "a limit in percent without its sign": (
        "analysis: {metrics: [{name: errors, source: errors, limit: 5}]}",
        "expected a `limit` from 0 to 100%: a number without `%` is a share, like 0.01 for 1%",
    ),
    "a repository that nobody can fetch": (
        "build: {repository: 'htps://ann:hunter2@git.example.org/shop'}",
        "build.repository: found `htps://git.example.org/shop`, expected a Git URL that begins with https://, ssh://, git:// or "
        "file://, user@host:path, or a folder; did you mean `https://git.example.org/shop`?",
    ),
    "a size that is none": ("workloads: [{memory: 1 GB}]", "memory: found `1 GB`, expected a size like 256Mi or 1Gi"),
    "a name that is none": (
        "workloads: [{name: My_App}]",
        "workloads[0].name: found `My_App`, expected at most 40 lower-case letters, digits and dashes, a letter first",
    ),
    "an analysis of a step by name": (
        "strategy: {canary: {steps: [{weight: 5, hold: 1m, analysis: strict}]}}",
        "strategy.canary.steps[0].analysis: found `strict`, expected a mapping (key: value)",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_sentence(project, text, sentence):  # R12
    said = mistake(project, text)
    assert sentence in said
    assert said.startswith("storefront.yaml: ")
    assert "\n" not in said


def test_a_name_that_differs_from_its_file(project):  # R12
    assert mistake(project, "name: shop") == (
        "storefront.yaml: name: found `shop`, expected `storefront`, as the file is called"
    )


@pytest.mark.parametrize("text", ["- a list", "just text"])
def test_a_file_that_is_no_mapping(project, text):  # R12
    path = project.app()
    path.write_text(text)
    with pytest.raises(SpecError, match="expected a mapping"):
        load_release(path, project.config, project.analyses)


def test_an_empty_file(project):  # R12
    path = project.app()
    path.write_text("")
    with pytest.raises(SpecError, match="found an empty file"):
        load_release(path, project.config, project.analyses)


def test_a_missing_app_file(project):  # R12
    with pytest.raises(SpecError, match=r"^nowhere.yaml: found no such file, expected a file nowhere.yaml in apps/$"):
        load_release(project.apps / "nowhere.yaml", project.config, project.analyses)


def test_two_apps_with_one_name(project):  # R12
    project.app()
    project.app(suffix=".yml")
    assert [str(error) for error in app_errors(project.apps, project.config)] == [
        "storefront.yml: name: found `storefront`, which storefront.yaml has already, expected a name of its own"
    ]


def test_every_mistake_of_a_file_is_told(project):  # R12
    project.app("ownr: a\nworkloads: [{port: 0}]")
    said = [str(error) for error in app_errors(project.apps, project.config)]
    assert len(said) == 2
    assert "did you mean `owner`?" in said[1]


def test_a_mistake_in_an_environment_is_told_once_and_names_the_file_it_stands_in(project):  # R12
    project.app(name="one")
    project.app(name="two")
    project.environment("base", "platform: mainframe\n")
    said = [str(error) for error in app_errors(project.apps, project.config)]
    assert "base.yaml: platform: found `mainframe`, expected one of `container_host`, `kubernetes`" in said
    assert len(said) == len(set(said))


def test_a_router_that_does_not_fit_its_platform(project):
    project.environment("production", "router: {kind: istio}")
    with pytest.raises(
        SpecError, match=r"^production.yaml: found `istio` with container_host, expected router `traefik`"
    ):
        load_environment("production", project.config)


def test_production_without_approvers_needs_self_approval(project):  # R10
    project.environment("production", "approvers: []")
    assert "storefront.yaml: approval: found no approvers in production.yaml, expected `approvers`" in mistake(
        project, ""
    )
    project.app("approval: {self_approval: true}")
    assert release_specs(project.apps, project.config)


def test_a_broken_file_does_not_hide_the_others(project):  # R12
    project.app("ownr: me", name="broken")
    project.app(name="whole")
    assert [spec.app.name for spec in release_specs(project.apps, project.config)] == ["whole"]


REPLICAS = "platform: kubernetes\nrouter: {kind: replicas}\napprovers: [bob]\n"
OWN = "analysis: {metrics: [{name: errors, bad: b, total: t, limit: 1%}]}\n"


def test_weights_that_whole_pods_cannot_make_are_refused(project):  # R5
    project.environment("production", REPLICAS)
    text = OWN + "workloads: [{replicas: 2}]\nstrategy: {canary: {steps: [{weight: 10, hold: 1m}]}}"
    assert "steps[0].weight: found 10, expected a weight that whole pods beside 2 stable ones make" in mistake(
        project, text
    )
    project.app(text.replace("replicas: 2", "replicas: 9"))
    assert release_specs(project.apps, project.config)


def test_without_a_proxy_ready_made_request_metrics_are_refused(project):
    project.environment("production", REPLICAS)
    assert "with router `replicas` (production) no proxy counts requests" in mistake(
        project, "workloads: [{replicas: 9}]\nstrategy: {canary: {steps: [{weight: 10, hold: 1m}]}}"
    )


BY_SELECTOR = "strategy: {blue_green: {switch: selector}}\n"


def test_a_switch_by_the_services_selector_has_no_proxy_that_counts_its_requests(project):
    project.environment("production", REPLICAS.replace("replicas", "gateway_api"))
    assert "with router `replicas` (production) no proxy counts requests" in mistake(project, BY_SELECTOR)
    project.app(BY_SELECTOR + OWN)
    assert release_specs(project.apps, project.config)


def test_requests_may_be_counted_by_what_the_environment_names(project):
    project.environment(
        "production", "platform: kubernetes\nrouter: {kind: replicas, dialect: linkerd}\napprovers: [bob]\n"
    )
    project.app("workloads: [{replicas: 9}]\nstrategy: {canary: {steps: [{weight: 10, hold: 1m}]}}")
    assert release_specs(project.apps, project.config)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{kind: pager}", "[0].kind: found `pager`, expected one of `log`, `webhook`, `slack`, `mail`"),
        ("{kind: webhook}", "[0]: found `webhook` alone, expected `connection` beside it"),
        ("{kind: mail}", "[0]: found `mail` alone, expected `to` beside it"),
        ("{kind: mail, to: [team]}", "[0].to[0]: found `team`, expected an address like team@example.org"),
        ("{kind: log, to: [a@b.org]}", "[0]: found `to`, expected no `to` beside `log`"),
        ("{kind: log, on: [broken]}", "[0].on[0]: found `broken`, expected one of `released`, `no_op`"),
        ("{kind: log, on: []}", "[0].on: found a list of 0, expected at least 1"),
    ],
)
def test_a_receiver_that_does_not_fit_is_told_at_its_place(project, written, said):  # R12
    project.environment("production", f"notify: [{written}]")
    assert f"production.yaml: notify{said}" in mistake(project, "")


def test_the_log_is_told_every_outcome_unless_the_file_says_otherwise(project):
    assert [(it.kind, len(it.on)) for it in load_environment("production", project.config).notify] == [("log", 9)]


def test_approvers_are_names_or_people_with_several_names(project):
    project.environment("production", "approvers: [bob, 7, {name: carol, email: carol@example.org, id: 8}]")
    bob, seven, carol = load_environment("production", project.config).approvers
    assert (bob, seven, carol.words) == ("bob", "7", ("carol", "carol@example.org", "8"))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[[bob]]", "approvers[0]: found a list of 1, expected text"),
        ("[bob, {nam: carol}]", "approvers[1].nam: found an unknown key, expected one of"),
        ("[bob, {}]", "approvers[1]: found no keys, expected a `name`, an `email` or an `id`"),
        ("[true]", "approvers[0]: found true, expected text"),
    ],
)
def test_an_approver_that_is_nobody_is_told_at_its_place(project, written, said):  # R12
    project.environment("production", f"approvers: {written}")
    assert said in mistake(project, "")


def test_a_byte_that_is_no_text_is_said_with_its_line(project) -> None:
    path = project.app("owner: a\nteam: b")
    path.write_bytes(path.read_bytes() + b"\n# caf\xe9\n")
    with pytest.raises(SpecError) as caught:
        load_release(path, project.config, project.analyses)
    assert str(caught.value) == "storefront.yaml: line 4: found a byte that is no text (0xe9), expected UTF-8"


@pytest.mark.parametrize("promql", ['sum(a{b="("}) # (', "a{b='\\''}", "a{b=~`[`}[5m]", "sum(rate(a[{{ window }}]))"])
def test_promql_that_is_complete_is_no_mistake(promql: str) -> None:
    assert broken(promql) is None


def test_an_app_that_is_called_like_a_dag_for_all_apps(project):
    path = project.app("name: pushes", "pushes")
    with pytest.raises(SpecError, match="the DAG release_pushes is there for all apps"):
        load_release(path, project.config, project.analyses)


def test_logins_of_forges_are_told_apart_as_forges_do(project):
    project.environment("production", "forge_users: {octocat: alice, 7: bob, Octocat: alice}")
    assert load_environment("production", project.config).forge_users == {
        "octocat": "alice",
        "7": "bob",
        "Octocat": "alice",
    }
    for written, said in (
        ("{octocat: alice, Octocat: bob}", "forge_users: found `Octocat` for alice and bob, expected each login once"),
        ("{octocat: ''}", "forge_users.octocat: found"),
        ("[octocat]", "forge_users: found a list of 1, expected a mapping"),
    ):
        project.environment("production", f"forge_users: {written}")
        with pytest.raises(SpecError) as caught:
            load_environment("production", project.config)
        assert said in str(caught.value)


@pytest.mark.parametrize("found", ["20261231", "1798675200", "'1798675200'", "true"])
def test_a_waiver_until_a_number_is_refused(project, found: str) -> None:
    waiver = f"{{app: shop, rule: r, reason: r, who: ada, until: {found}}}"
    project.environment("production", f"policy_waivers: [{waiver}]")
    with pytest.raises(SpecError) as caught:
        load_environment("production", project.config)
    assert "policy_waivers[0].until: found" in str(caught.value)
    assert str(caught.value).endswith("expected a day like 2026-12-31")


@pytest.mark.parametrize("app", ["", "scan: {block_on: low}", "scan: {scanners: []}", "sbom: true"])
def test_an_app_that_is_built_elsewhere_and_asks_for_no_scanner_is_valid(project, app: str) -> None:
    load_release(project.app(app), project.config, project.analyses)


def test_a_command_may_be_called_like_a_task_that_this_app_does_not_have(project) -> None:
    scan = "scan: {sarif: [{name: sbom, command: [look], report: own.sarif}]}"
    load_release(project.app(f"build: {{repository: r}}\n{scan}"), project.config, project.analyses)


@pytest.mark.parametrize("name", ["'*'", "'acme..*'", "'acme.op*'", "'.*'", "acme-ops.Run", "''", "'acme.*.Run'"])
def test_an_operator_that_could_never_be_allowed_is_a_mistake(project, name: str) -> None:
    project.environment("production", f"operators_allowed: [acme.operators.*, acme.Run, {name}]")
    with pytest.raises(SpecError) as caught:
        load_environment("production", project.config)
    assert str(caught.value).startswith(
        f"production.yaml: operators_allowed[2]: found `{name.strip(chr(39))}`, expected a path"
    )
    assert "all below one like acme.operators.*" in str(caught.value)


@pytest.mark.parametrize("name", ["*", "warm*", "a..*"])
def test_a_dag_that_could_never_be_allowed_is_a_mistake(project, name: str) -> None:
    project.environment("production", f"dags_allowed: [warm-caches, etl.*, a.b_c, '{name}']")
    with pytest.raises(SpecError) as caught:
        load_environment("production", project.config)
    assert str(caught.value).startswith(f"production.yaml: dags_allowed[3]: found `{name}`, expected a DAG's id")


def test_an_address_with_a_password_is_not_shown(project) -> None:
    assert "hunter2" not in mistake(project, MISTAKES["an address with a password"][0])
