"""Where the tasks stand, and what is wrong in the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from airflow.sdk import DAG

from release_pipelines.features.attestation import FEATURE
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import ReleaseSpec, app_errors, load_release
from tests.pipeline.conftest import BASE
from tests.signing import key, pem, trusted

KEYS = trusted(ours=key())
BROKEN = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n"
A_DAY = "a day like 2026-12-31, or a moment with its zone"
BUILD = "build: {repository: https://git.example.org/shop.git}\n"
SIGN = "sign: {key: {connection: signing}, builder: https://airflow.example}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE.replace("URL", "http://127.0.0.1:1"))
    for name in ("staging", "production"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\napprovers: [bob]\n")
    return tmp_path


def loaded(folder: Path, app: str, **verify: object) -> ReleaseSpec:
    (folder / "shop.yaml").write_text(f"name: shop\n{app}")
    if verify:
        path = folder / "production.yaml"
        path.write_text(path.read_text() + yaml.safe_dump({"verify": verify}))
    return load_release(folder / "shop.yaml", folder, folder)


def dag_of(spec: ReleaseSpec) -> DAG:
    return release_dag(spec)


def test_an_app_that_says_nothing_has_no_such_task(folder: Path) -> None:
    ids = set(dag_of(loaded(folder, BUILD)).task_ids)
    assert not {it for it in ids if "attest" in it or "sign" in it or it.rpartition(".")[2].startswith("verify_again")}
    assert not {it for it in ids if it.startswith("before_")}


def test_what_is_built_here_is_attested_then_signed_before_it_is_the_release_s_artifact(folder: Path) -> None:
    dag = dag_of(loaded(folder, BUILD + SIGN, keys=KEYS))
    assert dag.get_task("attest_provenance").upstream_task_ids == {"push_image"}
    assert dag.get_task("sign_image").upstream_task_ids == {"attest_provenance"}
    assert "sign_image" in dag.get_task("artifact").upstream_task_ids
    assert "artifact" in {it.task_id for it in dag.get_task("attest_sbom").get_flat_relatives(upstream=True)}
    assert "attest_sbom" in dag.get_task("staging.take_lease").upstream_task_ids


def test_an_environment_that_demands_it_is_verified_before_and_after_the_approval(folder: Path) -> None:
    spec = loaded(folder, "", keys=KEYS)
    dag = dag_of(spec)
    assert "before_production.verify" in dag.get_task("approval").upstream_task_ids
    assert dag.get_task("verify_again").upstream_task_ids == {"approval"}
    assert dag.get_task("verify_again").downstream_task_ids == {"approval_gate"}
    assert "before_staging.verify" not in dag.task_ids
    (folder / "base.yaml").write_text((folder / "base.yaml").read_text() + yaml.safe_dump({"verify": {"keys": KEYS}}))
    everywhere = dag_of(loaded(folder, ""))
    assert "before_staging.verify" in everywhere.get_task("staging.take_lease").upstream_task_ids


@pytest.mark.parametrize(
    "where",
    ["before: production", "before: production.take_lease", "before: verify_again", "before: policy_after_approval"],
)
def test_nothing_of_a_team_s_own_comes_between_the_last_verification_and_production(folder: Path, where: str) -> None:
    app = f"policies: [keep]\nstages: [{{name: own, {where}, container: {{image: a, command: [x]}}}}]\n"
    dag = dag_of(loaded(folder, app, keys=KEYS))
    assert "own" in dag.get_task("verify_again").upstream_task_ids
    assert "approval" in dag.get_task("own").upstream_task_ids


@pytest.mark.parametrize("where", ["before: staging", "before: before_staging.policy"])
def test_nothing_of_a_team_s_own_comes_between_the_verification_and_an_environment_before_production(
    folder: Path, where: str
) -> None:
    path = folder / "staging.yaml"
    path.write_text(path.read_text() + yaml.safe_dump({"verify": {"keys": KEYS}, "policies": ["keep"]}))
    dag = dag_of(loaded(folder, f"stages: [{{name: own, {where}, container: {{image: a, command: [x]}}}}]\n"))
    assert "before_staging.own" in dag.get_task("before_staging.verify").upstream_task_ids


@pytest.mark.parametrize(("after", "last"), [("verify_again", True), ("before_staging.verify", False)])
def test_a_place_after_the_last_verification_is_refused(folder: Path, after: str, last: bool) -> None:
    path = folder / ("production.yaml" if last else "staging.yaml")
    path.write_text(path.read_text() + yaml.safe_dump({"verify": {"keys": KEYS}}))
    with pytest.raises(SpecError) as said:
        loaded(folder, f"stages: [{{name: own, after: {after}, container: {{image: a, command: [x]}}}}]\n")
    assert f"a place after `{after}`, right after which the environment is touched" in str(said.value)


def test_the_way_back_has_no_such_task(folder: Path) -> None:  # R8
    dag = dag_of(loaded(folder, "", keys=KEYS))
    back = [it for it in dag.tasks if it.task_id.startswith("rollback.")]
    assert back
    assert not [it for it in back if type(it).__name__ == "VerifyImageOperator"]


@pytest.mark.parametrize(
    ("app", "verify", "words"),
    [
        (SIGN, {}, "sign: found no `build`, expected `build`: only what is built here is signed here"),
        ("sign: {key: {}}\n" + BUILD, {}, "expected one of `connection`, `variable`, `kms`"),
        ("sign: {key: {connection: a, kms: b}}\n" + BUILD, {}, "expected one of `connection`, `variable`, `kms`"),
        ("sign: {key: {connection: a}, builder: me}\n" + BUILD, {}, "sign.builder"),
        ("", {"keys": []}, "verify.keys"),
        ("", {"keys": KEYS, "signature": False}, "expected one of `signature`, `provenance` and `sbom`"),
        ("", {"keys": KEYS * 2}, "expected a name of its own for each key"),
        ("", {"keys": KEYS, "sbom": "swid"}, "verify.sbom"),
        ("", {"keys": [{"name": "K1"}]}, "expected one of `public_key`, `connection`, `variable`, `kms`"),
        (
            "",
            {"keys": [{**KEYS[0], "signs_from": "2027-02-01", "signs_to": "2027-01-01"}]},
            "expected `signs_to` after `signs_from`",
        ),
        ("sign: {key: {connection: ''}}\n" + BUILD, {}, "sign.key.connection: found ``, expected"),
        ("", {"keys": [{"name": "K1", "kms": ""}]}, "verify.keys[0].kms: found ``, expected"),
        (
            "",
            {"keys": [*KEYS, {"name": "K2", "public_key": BROKEN}]},
            "environments[1]: found a `public_key` that cannot be read (`verify.keys`, with `K2`, in production.yaml or base.yaml), "
            "expected a public key of ECDSA P-256 or Ed25519 as PEM",
        ),
        ("", {"keys": [{**KEYS[0], "signs_from": 20261224}]}, f"signs_from: found 20261224, expected {A_DAY}"),
        ("", {"keys": [{**KEYS[0], "signs_to": 20261231}]}, f"signs_to: found 20261231, expected {A_DAY}"),
        ("", {"keys": [{**KEYS[0], "signs_to": 1.5}]}, f"signs_to: found 1.5, expected {A_DAY}"),
        ("", {"keys": [{**KEYS[0], "signs_to": "1798675200"}]}, f"signs_to: found `1798675200`, expected {A_DAY}"),
        ("", {"keys": [{**KEYS[0], "signs_to": True}]}, f"signs_to: found true, expected {A_DAY}"),
    ],
)
def test_a_mistake_names_its_place_and_what_is_expected(
    folder: Path, app: str, verify: dict[str, object], words: str
) -> None:
    with pytest.raises(SpecError) as said:
        loaded(folder, app, **verify)
    assert words in "\n".join(str(it) for it in (said.value, *said.value.also))


def test_a_private_key_in_place_of_a_public_one_is_shown_to_nobody(folder: Path) -> None:
    private = pem()
    with pytest.raises(SpecError) as said:
        loaded(folder, "", keys=[{"name": "K1", "public_key": private}])
    text = "\n".join(str(it) for it in (said.value, *said.value.also))
    assert "expected `public_key` as PEM" in text
    assert private.splitlines()[1][:12] not in text


@pytest.mark.parametrize(
    "place", ["{key: PEM}", "{key: {connection: PEM}}", "{key: {variable: PEM}}", "{key: {kms: PEM}}", "PEM"]
)
def test_a_private_key_in_place_of_a_name_is_refused_and_shown_to_nobody(folder: Path, place: str) -> None:
    private = pem()
    with pytest.raises(SpecError):
        loaded(folder, f"sign: {place.replace('PEM', json.dumps(private))}\n{BUILD}")
    [*said] = app_errors(folder, folder)
    text = "\n".join(map(str, said))
    assert "private key" in text
    assert "BEGIN" not in text
    assert private.splitlines()[1][:12] not in text


def test_what_is_written_in_the_files_is_kept_with_a_release(folder: Path) -> None:
    spec = loaded(folder, BUILD + SIGN, keys=[{**KEYS[0], "signs_from": "2026-01-01", "signs_to": "2027-01-08"}])
    again = ReleaseSpec.model_validate_json(spec.model_dump_json())
    assert again.production == spec.production
    [kept] = again.production.verify.keys  # type: ignore[attr-defined]
    assert kept.signs_to.isoformat() == "2027-01-08T23:59:59.999999+00:00"


def test_a_key_that_cannot_be_used_is_told_before_anything_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = key().public.pem
    spec = loaded(folder, BUILD + SIGN, keys=[*KEYS, {"name": "gone", "variable": "gone"}])
    assert [it.sentence for it in FEATURE.preflight(spec)] == ["Airflow has no variable gone, which should hold a key."]
    monkeypatch.setenv("AIRFLOW_VAR_GONE", public)
    assert list(FEATURE.preflight(spec)) == []
    assert [it.sentence for it in FEATURE.before_build(spec, "1.1.0")] == [
        "Airflow has no connection signing, which should hold a key."
    ]
    monkeypatch.setenv("AIRFLOW_CONN_SIGNING", json.dumps({"conn_type": "generic", "password": public}))
    [problem] = FEATURE.before_build(spec, "1.1.0")
    assert "The key of connection signing cannot be read" in problem.sentence
    monkeypatch.setenv("AIRFLOW_CONN_SIGNING", json.dumps({"conn_type": "generic", "password": pem()}))
    assert list(FEATURE.before_build(spec, "1.1.0")) == []
    plain = loaded(folder, BUILD)
    assert list(FEATURE.before_build(plain, "1.1.0")) == []
