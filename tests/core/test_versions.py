from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from release_pipelines.core.capacity import TOLERANCE, canary_replicas, nearest_weight, pods_for_weight
from release_pipelines.core.versions import goes_backward, version_fits
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.loader import DEFAULT_ANALYSIS
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.target import target


def spec(**app):
    environments = [
        EnvironmentSpec.model_validate(
            {
                "name": name,
                "platform": "container_host",
                "connections": {"platform": "host", "engine": "engine", "registry": "hub", "prometheus": "prom"},
                "namespace": f"shop-{name}",
                "address": {"url": "http://127.0.0.1:8000", "host": "{app}.{namespace}.example"},
                "approvers": ["bob"],
            }
        )
        for name in ("staging", "production")
    ]
    return ReleaseSpec(
        app=AppSpec.model_validate({"name": "storefront", **app}), environments=environments, analysis=DEFAULT_ANALYSIS
    )


def test_a_target_has_all_names_filled_in():
    found = target(spec(), "production")
    assert (found.workload.name, found.router.route) == ("storefront", "storefront")
    assert found.host == "storefront.shop-production.example"
    assert (found.platform_connection, found.registry_connection, found.prometheus_connection) == (
        "host",
        "hub",
        "prom",
    )


def test_what_differs_in_an_environment_wins():
    release = spec(
        workloads=[{"replicas": 4, "env": {"A": "1", "B": "1"}}],
        environments=[{"name": "staging", "replicas": 1, "env": {"B": "2"}}, "production"],
    )
    staging, production = target(release, "staging").workload, target(release, "production").workload
    assert (staging.replicas, staging.env) == (1, {"A": "1", "B": "2"})
    assert (production.replicas, production.env) == (4, {"A": "1", "B": "1"})


def test_an_environment_that_the_app_does_not_go_to():
    with pytest.raises(KeyError, match="storefront does not go to europe"):
        target(spec(), "europe")


@given(st.integers(1, 1000), st.integers(1, 100))
def test_the_canary_can_carry_its_share(stable, weight):  # R5
    replicas = canary_replicas(stable, weight)
    assert replicas >= 1
    assert replicas * 100 >= stable * weight > (replicas - 1) * 100 or replicas == 1


@given(st.integers(1, 100), st.integers(1, 99))
def test_weights_that_are_accepted_when_a_file_is_read_can_be_made_by_whole_pods(stable, weight):  # R5
    accepted = abs(nearest_weight(stable, weight) - weight) <= TOLERANCE
    if accepted:
        assert pods_for_weight(stable, weight) >= 1
    else:
        with pytest.raises(ValueError, match="cannot make a weight"):
            pods_for_weight(stable, weight)


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        ("semver", "1.4.0"),
        ("semver", "2.0.0-rc.1"),
        ("semver", "1.0.0-alpha-x.7"),
        ("date", "2026.11.23"),
        ("date", "20261123"),
        ("date", "2026.11.23.2"),
        ("commit", "929bffd"),
        ("commit", "9" * 40),
    ],
)
def test_versions_that_fit(scheme, version):
    assert version_fits(scheme, version) is None


@pytest.mark.parametrize(
    ("scheme", "version", "expected"),
    [
        ("semver", "v1.4.0", "without a leading v"),
        ("semver", "1.4", "1.4.0 or 2.0.0-rc.1 is expected"),
        ("semver", "01.4.0", "is expected"),
        ("semver", "1.4.0-01", "is expected"),
        ("semver", "1.4.0+build7", "which an image tag cannot carry"),
        ("semver", "latest", "is expected"),
        ("semver", "", "is expected"),
        ("date", "2026.13.23", "2026.11.23 or 20261123 is expected"),
        ("date", "2026.1123", "is expected"),
        ("date", "1.4.0", "is expected"),
        ("commit", "929bff", "7 to 40 hexadecimal digits"),
        ("commit", "929BFFD", "7 to 40 hexadecimal digits"),
        ("commit", "main", "7 to 40 hexadecimal digits"),
    ],
)
def test_a_version_that_does_not_fit_is_told_in_a_sentence(scheme, version, expected):  # R12
    said = version_fits(scheme, version) or ""
    assert said.startswith(f"Version `{version}`")
    assert expected in said


ORDERED = [
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
    "1.0.0", "1.2.0", "1.10.0", "2.0.0",
]  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), list(pairwise(ORDERED)))
def test_semantic_versions_have_their_order(older, newer):  # R17
    assert goes_backward("semver", newer, older)
    assert not goes_backward("semver", older, newer)


def test_the_same_version_does_not_go_backward():  # R17
    assert not goes_backward("semver", "1.0.0", "1.0.0")
    assert not goes_backward("date", "20261123", "2026.11.23")


def test_dates_have_their_order():  # R17
    assert goes_backward("date", "2026.11.23", "20261122")
    assert goes_backward("date", "2026.11.23.10", "2026.11.23.9")
    assert not goes_backward("date", "2026.11.23", "2026.11.23.1")


@given(st.sampled_from(["semver", "date", "commit"]), st.text(max_size=12), st.text(max_size=12))
def test_what_has_no_order_never_goes_backward(scheme, old, new):
    assume(version_fits(scheme, old) or version_fits(scheme, new) or scheme == "commit")
    assert not goes_backward(scheme, old, new)
