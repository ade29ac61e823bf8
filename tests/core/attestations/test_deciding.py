"""A valid signature over the wrong thing is none, and each refusal says what was found and what is demanded."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.signing.keys import Private
from release_pipelines.core.attestations.deciding import Asked, Refusal, check
from release_pipelines.core.attestations.envelope import (
    IN_TOTO,
    SIGNED_BY_COSIGN,
    bundle_document,
    envelope_document,
    pae,
    simple_signing,
    written,
)
from release_pipelines.core.attestations.looking import Document, look_at
from release_pipelines.core.attestations.statement import CYCLONEDX, PROVENANCE, SIGNATURE, SPDX, statement
from release_pipelines.core.model.attestation import Demand
from release_pipelines.core.model.image import Image, PlatformImage
from tests.signing import BUILDER, COMMIT, OTHER_COMMIT, REPOSITORY, asked, demand, key, provenance, trusted

K1, K2, FOREIGN = key(), key("ed25519"), key()
INDEX, A, B, OTHER = ("sha256:" + it * 64 for it in "1ab9")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NAME = "registry.example/shop"
PREDICATES: dict[str, Any] = {
    PROVENANCE: provenance(),
    SPDX: {"spdxVersion": "SPDX-2.3"},
    CYCLONEDX: {"bomFormat": "CycloneDX", "specVersion": "1.6"},
    SIGNATURE: {},
}


def image(*platforms: str) -> Image:
    """An index of amd64, and of arm64 where it is asked for."""
    digests = {"linux/amd64": A, "linux/arm64": B}
    entries = [PlatformImage(media_type=MANIFEST, digest=digests[it], platform=it) for it in platforms]
    return Image(repository=NAME, digest=INDEX, media_type="application/vnd.oci.image.index.v1+json", platforms=entries)


ONE, BOTH = image("linux/amd64"), image("linux/amd64", "linux/arm64")


def said(kind: str, digest: str = INDEX, predicate: Any = None, signer: Private = K1) -> Document:
    """A bundle."""
    return of_payload(statement(NAME, digest, kind, PREDICATES[kind] if predicate is None else predicate), signer)


def of_payload(payload: bytes, signer: Private = K1) -> Document:
    signature = signer.sign(pae(IN_TOTO, payload))
    return Document("sha256:d0c", "bundle", written(bundle_document(payload, signature, signer.public.fingerprint)))


def signed(digest: str = INDEX, signer: Private = K1) -> Document:
    """A signature as cosign 2 makes it."""
    payload = simple_signing(NAME, digest)
    return Document("sha256:d0c", "simple_signing", payload, base64.b64encode(signer.sign(payload)).decode())


def came(documents: list[Document], demanded: Demand, of: Image = ONE, known: Asked | None = None) -> list[Refusal]:
    keys = {"K1": K1.public, "K2": K2.public}
    found = [look_at(it, {name: keys[name] for name in (it.name for it in demanded.keys)}) for it in documents]
    return check(found, demanded, of, known or asked())


PROVEN = demand(
    trusted(K1=K1),
    signature=False,
    provenance={"builders": [BUILDER], "repository": REPOSITORY, "refs": ["main"]},
)
SIGNED = demand(trusted(K1=K1))
LISTED = demand(trusted(K1=K1), signature=False, sbom="any")


def one(refusals: list[Refusal]) -> tuple[str, str]:
    assert len(refusals) == 1, refusals
    return refusals[0].why, refusals[0].sentence


def test_what_is_demanded_and_there_is_accepted() -> None:
    assert came([said(PROVENANCE)], PROVEN, known=asked(commit=COMMIT)) == []
    assert came([signed()], SIGNED) == []
    assert came([said(SIGNATURE)], SIGNED) == []
    assert came([said(SPDX)], LISTED) == []
    assert came([said(CYCLONEDX)], LISTED) == []


def test_another_kind_than_demanded() -> None:
    assert one(came([said(SPDX)], PROVEN)) == ("kind", f"{INDEX}: found spdx, demanded slsa provenance v1.")
    assert one(came([said(PROVENANCE)], SIGNED)) == ("kind", f"{INDEX}: found slsa provenance v1, demanded signature.")
    assert one(came([said(PROVENANCE)], LISTED))[1].endswith("demanded cyclonedx or spdx.")
    exact = demand(trusted(K1=K1), signature=False, sbom="spdx")
    assert one(came([said(CYCLONEDX)], exact)) == ("kind", f"{INDEX}: found cyclonedx, demanded spdx.")
    earlier = statement(NAME, INDEX, "https://slsa.dev/provenance/v0.2", {"builder": {"id": BUILDER}})
    assert one(came([of_payload(earlier)], PROVEN))[1] == (
        f"{INDEX}: found slsa provenance v0.2, demanded slsa provenance v1."
    )
    unknown = statement(NAME, INDEX, "https://example.org/review/v1", {})
    assert "found https://example.org/review/v1," in one(came([of_payload(unknown)], PROVEN))[1]


def test_nothing_is_attached() -> None:
    assert one(came([], PROVEN)) == ("missing", f"{INDEX}: found nothing, demanded slsa provenance v1.")
    assert [it.why for it in came([], demand(trusted(K1=K1), provenance={}, sbom="any"))] == ["missing"] * 3


def test_another_type_of_payload_around_a_good_statement() -> None:
    payload = statement(NAME, INDEX, PROVENANCE, provenance())
    document = envelope_document(payload, K1.sign(pae("text/plain", payload))) | {"payloadType": "text/plain"}
    why, sentence = one(came([Document("sha256:d0c", "envelope", written(document))], PROVEN))
    assert why == "unreadable"
    assert sentence == (
        f"sha256:d0c beside {INDEX} cannot be read: its payload is of type text/plain, where application/vnd.in-toto+json is expected."
    )
    # Said to be a statement, and signed as something else.
    lying = envelope_document(payload, K1.sign(pae("text/plain", payload)))
    assert one(came([Document("sha256:d0c", "envelope", written(lying))], PROVEN))[0] == "signer"


@pytest.mark.parametrize(
    "payload", [b"", b"no json", b"[]", b"\xff\xfe", b'{"_type": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000]
)
def test_a_payload_that_is_no_json_object(payload: bytes) -> None:
    why, sentence = one(came([of_payload(payload)], PROVEN))
    assert why == "unreadable"
    assert "its payload is no JSON" in sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_type": "https://example.org/Statement"}, "where https://in-toto.io/Statement/v1 is expected"),
        ({"subject": []}, "speaks of nothing"),
        ({"subject": [{"name": "shop"}]}, "a subject without a digest"),
        ({"predicateType": None}, "it has no predicate type"),
    ],
)
def test_a_statement_that_says_nothing(change: dict[str, Any], words: str) -> None:
    payload = json.loads(statement(NAME, INDEX, PROVENANCE, provenance())) | change
    why, sentence = one(came([of_payload(written(payload))], PROVEN))
    assert why == "unreadable"
    assert words in sentence


def test_provenance_of_another_image() -> None:
    why, sentence = one(came([said(PROVENANCE, OTHER)], PROVEN))
    assert why == "subject"
    assert sentence == f"The slsa provenance v1 sha256:d0c speaks of {OTHER}, not of {INDEX}."


def test_one_of_several_subjects_is_enough() -> None:
    payload = json.loads(statement(NAME, INDEX, PROVENANCE, provenance()))
    payload["subject"].insert(0, {"name": "other", "digest": {"sha256": OTHER.removeprefix("sha256:")}})
    assert came([of_payload(written(payload))], PROVEN) == []
    payload["subject"] = [{"name": "I", "digest": {"sha512": "1" * 128}}]
    assert one(came([of_payload(written(payload))], PROVEN)) == (
        "subject",
        f"The slsa provenance v1 sha256:d0c speaks of no image, not of {INDEX}.",
    )


def test_another_builder() -> None:
    why, sentence = one(came([said(PROVENANCE, predicate=provenance(builder="urn:laptop"))], PROVEN))
    assert (why, sentence) == ("builder", f"Built by urn:laptop, expected {BUILDER} (sha256:d0c).")
    assert one(came([said(PROVENANCE, predicate={})], PROVEN))[1].endswith("its provenance names no builder.")


def test_another_commit_branch_or_repository() -> None:
    wrong = said(PROVENANCE, predicate=provenance(commit=OTHER_COMMIT))
    assert one(came([wrong], PROVEN, known=asked(commit=COMMIT))) == (
        "source",
        f"Built from commit {OTHER_COMMIT}, expected {COMMIT} (sha256:d0c).",
    )
    feature = said(PROVENANCE, predicate=provenance(ref="refs/heads/feature"))
    assert one(came([feature], PROVEN))[1] == "Built from refs/heads/feature, expected main (sha256:d0c)."
    fork = said(PROVENANCE, predicate=provenance(repository="https://git.example.org/mallory/shop.git"))
    assert one(came([fork], PROVEN))[1].startswith("Built from https://git.example.org/mallory/shop.git, expected")
    nowhere = said(PROVENANCE, predicate=provenance(ref=""))
    assert one(came([nowhere], PROVEN))[1] == "Built from no branch, expected main (sha256:d0c)."
    of_release = demand(trusted(K1=K1), signature=False, provenance={})
    assert one(came([fork], of_release, known=asked(repository=REPOSITORY)))[0] == "source"


def test_a_second_commit_of_the_source_is_none_of_ours() -> None:
    predicate = provenance()
    materials = predicate["buildDefinition"]["resolvedDependencies"]
    materials.append({"uri": f"git+{REPOSITORY}@refs/heads/main", "digest": {"gitCommit": OTHER_COMMIT}})
    assert one(came([said(PROVENANCE, predicate=predicate)], PROVEN, known=asked(commit=COMMIT)))[0] == "source"
    materials[-1]["uri"] = "git+https://git.example.org/team/theme.git"  # a submodule
    assert came([said(PROVENANCE, predicate=predicate)], PROVEN, known=asked(commit=COMMIT)) == []


def test_provenance_as_github_writes_it() -> None:
    predicate = {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {"ref": "refs/heads/main", "repository": "https://github.com/team/shop", "path": "x.yml"}
            },
            "resolvedDependencies": [
                {"uri": "git+https://github.com/team/shop@refs/heads/main", "digest": {"gitCommit": COMMIT}}
            ],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }
    demanded = demand(
        trusted(K1=K1),
        signature=False,
        provenance={"builders": [BUILDER], "repository": "git@github.com:team/shop.git", "refs": ["main"]},
    )
    assert came([said(PROVENANCE, predicate=predicate)], demanded, known=asked(commit=COMMIT)) == []


def test_a_signature_of_another_image_or_of_something_else() -> None:
    assert one(came([signed(OTHER)], SIGNED)) == (
        "subject",
        f"The signature sha256:d0c speaks of {OTHER}, not of {INDEX}.",
    )
    payload = written({"critical": {"type": "atomic", "image": {"docker-manifest-digest": INDEX}}})
    other = Document("sha256:d0c", "simple_signing", payload, base64.b64encode(K1.sign(payload)).decode())
    assert one(came([other], SIGNED))[0] == "unreadable"
    assert SIGNED_BY_COSIGN.encode() in signed().content


def test_a_foreign_signer() -> None:
    why, sentence = one(came([said(PROVENANCE, signer=FOREIGN)], PROVEN))
    assert (why, sentence) == (
        "signer",
        "The slsa provenance v1 sha256:d0c is signed by none of the keys that are trusted here: K1.",
    )
    assert one(came([signed(signer=FOREIGN)], SIGNED))[0] == "signer"
    assert came([signed(signer=FOREIGN), signed()], SIGNED) == []  # what others add takes nothing away


def test_what_hangs_on_platforms_counts_where_all_of_them_have_it() -> None:
    assert came([said(SPDX, A)], LISTED, ONE) == []
    assert came([said(SPDX, A), said(CYCLONEDX, B)], LISTED, BOTH) == []
    assert came([said(SPDX, INDEX)], LISTED, BOTH) == []
    assert one(came([said(SPDX, A)], LISTED, BOTH)) == (
        "platform",
        f"linux/arm64 {B} has no cyclonedx or spdx, demanded of every platform.",
    )
    assert one(came([said(PROVENANCE, A)], PROVEN, BOTH))[0] == "platform"
    assert one(came([signed(A)], SIGNED, BOTH))[0] == "platform"


def test_a_bill_of_materials_that_is_none() -> None:
    assert one(came([said(CYCLONEDX, predicate={"a": 1})], LISTED))[0] == "content"
    assert one(came([said(SPDX, predicate={"bomFormat": "CycloneDX"})], LISTED))[0] == "content"


# --- keys and time ----------------------------------------------------------------------------------------------

NOW = 1_800_000_000.0  # 2027-01-15
RETIRED = demand([{**trusted(K1=K1)[0], "signs_to": "2027-01-08"}, *trusted(K2=K2)])


def test_a_retired_key_is_believed_about_what_the_history_knows_from_its_time() -> None:
    before = NOW - 30 * 86400
    assert came([signed()], RETIRED, known=asked(known_since=before)) == []
    assert came([signed(signer=K2)], RETIRED) == []
    why, sentence = one(came([signed()], RETIRED))
    assert why == "retired"
    assert sentence == (
        "The signature sha256:d0c is signed by K1, which was retired on 2027-01-08, and the history does not know this digest "
        "from before."
    )
    assert "only since 2027-01-14" in one(came([signed()], RETIRED, known=asked(known_since=NOW - 86400)))[1]
    assert came([signed(), signed(signer=K2)], RETIRED) == []


def test_a_key_signs_on_its_last_day_and_not_before_its_first() -> None:
    last = [{**trusted(K1=K1)[0], "signs_to": "2027-01-15"}]
    assert came([signed()], demand(last)) == []
    first = [{**trusted(K1=K1)[0], "signs_from": "2027-01-16"}]
    assert "signs only from 2027-01-16 on" in one(came([signed()], demand(first)))[1]


# --- any change ------------------------------------------------------------------------------------------------

BUNDLE_OF_PROVENANCE = said(PROVENANCE).content
SIMPLE = signed()


@given(st.data())
def test_any_byte_of_a_payload_or_a_signature_that_is_changed_is_refused(data: st.DataObject) -> None:
    document = json.loads(BUNDLE_OF_PROVENANCE)
    envelope = document["dsseEnvelope"]
    place = data.draw(st.sampled_from(["payload", "sig", "payloadType"]))
    holder = envelope["signatures"][0] if place == "sig" else envelope
    text = holder[place]
    at = data.draw(st.integers(0, len(text) - 1))
    holder[place] = (
        text[:at] + chr(data.draw(st.integers(32, 126).filter(lambda it: chr(it) != text[at]))) + text[at + 1 :]
    )
    assert came([Document("sha256:d0c", "bundle", written(document))], PROVEN) != []


@given(st.integers(0, len(BUNDLE_OF_PROVENANCE) - 1), st.integers(0, 255))
def test_a_changed_byte_of_an_envelope_is_refused_or_changes_nothing_that_is_said(at: int, byte: int) -> None:
    changed = BUNDLE_OF_PROVENANCE[:at] + bytes([byte]) + BUNDLE_OF_PROVENANCE[at + 1 :]
    keys = {"K1": K1.public}
    found = look_at(Document("sha256:d0c", "bundle", changed), keys)
    same = look_at(Document("sha256:d0c", "bundle", BUNDLE_OF_PROVENANCE), keys)
    assert found == same or not found.signers


@given(st.integers(0, len(SIMPLE.content) - 1), st.integers(0, 255))
def test_any_changed_byte_of_what_cosign_signs_is_refused(at: int, byte: int) -> None:
    changed = SIMPLE.content[:at] + bytes([byte]) + SIMPLE.content[at + 1 :]
    if changed != SIMPLE.content:
        assert came([Document("sha256:d0c", "simple_signing", changed, SIMPLE.signature)], SIGNED) != []


@given(st.binary(max_size=300), st.sampled_from(["bundle", "envelope", "simple_signing"]), st.text(max_size=20))
def test_whatever_hangs_there_raises_nothing_and_passes_nothing(content: bytes, form: Any, signature: str) -> None:
    everything = demand(trusted(K1=K1), provenance={}, sbom="any")
    assert len(came([Document("sha256:d0c", form, content, signature)], everything)) == 3
