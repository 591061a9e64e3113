"""Certificates: what is missing, broken, another's or old is made anew, and nothing else."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_api.certificates import CertificateAuthority, CertificatesError, Identity
from nas_api.spec import NASSearch
from nas_operator.actions import CreateAuthority, IssueCertificate
from nas_operator.names import authority_name
from nas_operator.observed import Object
from nas_operator.resources.certificates import (
    AUTHORITY_LIFETIME,
    build_authority,
    build_certificate,
    load_authority,
    plan_certificates,
)
from nas_operator.settings import Settings

from tests.unit.operator.resources.searches import search_of

LIFETIME = timedelta(days=90)
SEARCH = search_of({"pools": [{"name": "spot"}, {"name": "cpu"}]})
CA, CONTROLLER, ADMIN, SPOT, CPU = (
    f"digits-{name}" for name in ("ca", "controller-tls", "admin-tls", "pool-spot-tls", "pool-cpu-tls")
)
LEAVES = [CONTROLLER, ADMIN, SPOT, CPU]
Secrets = dict[str, Object]


def carry_out(
    actions: tuple[CreateAuthority | IssueCertificate, ...], secrets: Secrets, search: NASSearch = SEARCH
) -> Secrets:
    """`secrets` after the actions."""
    secrets = dict(secrets)
    for action in actions:
        if isinstance(action, CreateAuthority):
            authority = CertificateAuthority.create(search.full_name, AUTHORITY_LIFETIME)
            secrets[action.secret] = build_authority(search, authority)
        else:
            pair = load_authority(search, secrets[authority_name(search.metadata.name)]).issue(
                action.identity, dns_names=action.dns_names, lifetime=action.lifetime
            )
            secrets[action.secret] = build_certificate(search, action.secret, pair)
    return secrets


def made(search: NASSearch = SEARCH, lifetime: timedelta = LIFETIME) -> Secrets:
    return carry_out(plan_certificates(search, {}, datetime.now(UTC), lifetime), {}, search)


GOOD = made()


def planned(
    secrets: Secrets, after: timedelta = timedelta(), search: NASSearch = SEARCH, lifetime: timedelta = LIFETIME
) -> list[str]:
    """Secrets that are to be made, in their order, when `after` has passed."""
    return [action.secret for action in plan_certificates(search, secrets, datetime.now(UTC) + after, lifetime)]


def with_file(secret: Object, file: str, content: str | None) -> Object:
    data = {name: value for name, value in secret["data"].items() if name != file}
    return secret | {"data": data if content is None else data | {file: content}}


def test_a_new_search_gets_an_authority_and_then_a_certificate_for_each_party() -> None:
    actions = plan_certificates(SEARCH, {}, datetime.now(UTC), LIFETIME)
    assert actions == (
        CreateAuthority(CA),
        IssueCertificate(
            CONTROLLER,
            Identity("research/digits", "controller"),
            ("digits-controller", "digits-controller.research", "digits-controller.research.svc", "localhost"),
            LIFETIME,
        ),
        IssueCertificate(ADMIN, Identity("research/digits", "admin"), (), LIFETIME),
        IssueCertificate(SPOT, Identity("research/digits", "pool", "spot"), (), LIFETIME),
        IssueCertificate(CPU, Identity("research/digits", "pool", "cpu"), (), LIFETIME),
    )


def test_good_certificates_are_left_alone() -> None:
    assert planned(GOOD) == []


def test_a_secret_is_what_a_pod_mounts() -> None:
    secret = GOOD[SPOT]
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["data"].keys() == {"ca.crt", "tls.crt", "tls.key"}
    assert secret["data"]["ca.crt"] == GOOD[CA]["data"]["tls.crt"]


@pytest.mark.parametrize("secret", LEAVES)
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda secret: with_file(secret, "tls.key", None), id="without its key"),
        pytest.param(lambda secret: with_file(secret, "ca.crt", None), id="without the authority's certificate"),
        pytest.param(lambda secret: secret | {"data": None}, id="empty"),
        pytest.param(lambda secret: with_file(secret, "tls.crt", "%"), id="not base64"),
        pytest.param(lambda secret: with_file(secret, "tls.crt", "bm90aGluZw=="), id="no certificate"),
        pytest.param(lambda secret: with_file(secret, "tls.key", GOOD[CA]["data"]["tls.key"]), id="another's key"),
        pytest.param(lambda secret: with_file(secret, "tls.crt", GOOD[CA]["data"]["tls.crt"]), id="no identity"),
        pytest.param(lambda _: made()[CPU], id="of another authority"),
    ],
)
def test_a_certificate_that_is_broken_is_made_anew_alone(secret: str, spoil: Callable[[Object], Object]) -> None:
    assert planned(GOOD | {secret: spoil(GOOD[secret])}) == [secret]


@pytest.mark.parametrize("secret", LEAVES)
def test_a_certificate_that_is_missing_is_made_anew_alone(secret: str) -> None:
    assert planned({name: value for name, value in GOOD.items() if name != secret}) == [secret]


def test_the_certificate_of_another_party_will_not_do() -> None:
    assert planned(GOOD | {SPOT: GOOD[CPU], ADMIN: GOOD[CONTROLLER]}) == [ADMIN, SPOT]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda secret: with_file(secret, "tls.key", None), id="without its key"),
        pytest.param(lambda secret: with_file(secret, "tls.key", GOOD[CPU]["data"]["tls.key"]), id="another's key"),
        pytest.param(lambda secret: with_file(secret, "tls.crt", "bm90aGluZw=="), id="no certificate"),
        pytest.param(lambda _: GOOD[CPU], id="no authority"),
        pytest.param(lambda _: made(search_of(name="others"))["others-ca"], id="of another search"),
    ],
)
def test_an_authority_that_cannot_be_used_is_made_anew_with_all_certificates(
    spoil: Callable[[Object], Object],
) -> None:
    assert planned(GOOD | {CA: spoil(GOOD[CA])}) == [CA, *LEAVES]


def test_with_a_new_authority_all_certificates_are_made_anew_also_when_the_operator_died_in_between() -> None:
    secrets = carry_out((CreateAuthority(CA),), GOOD)
    assert planned(secrets) == LEAVES
    issue = plan_certificates(SEARCH, secrets, datetime.now(UTC), LIFETIME)
    assert planned(carry_out(issue[:2], secrets)) == LEAVES[2:]


def test_a_certificate_is_renewed_at_two_thirds_of_its_life_and_the_authority_too() -> None:
    assert planned(GOOD, after=LIFETIME * 2 / 3 - timedelta(hours=1)) == []
    assert planned(GOOD, after=LIFETIME * 2 / 3) == LEAVES
    assert planned(GOOD, after=AUTHORITY_LIFETIME * 2 / 3) == [CA, *LEAVES]


def test_a_shorter_lifetime_holds_for_certificates_that_are_there() -> None:
    assert planned(GOOD, after=timedelta(hours=1), lifetime=timedelta(minutes=30)) == LEAVES


def test_certificates_of_the_shortest_life_that_an_operator_may_have_are_not_due_at_once() -> None:
    [shortest] = [limit.ge for limit in Settings.model_fields["certificate_lifetime"].metadata if hasattr(limit, "ge")]
    assert planned(made(lifetime=shortest), after=timedelta(minutes=4), lifetime=shortest) == []
    assert planned(GOOD, after=timedelta(hours=1), lifetime=timedelta(days=900)) == []


def test_a_pool_that_comes_gets_a_certificate_and_one_that_goes_disturbs_nothing() -> None:
    assert planned(GOOD, search=search_of({"pools": [{"name": "spot"}, {"name": "gpu"}]})) == ["digits-pool-gpu-tls"]


def test_loading_an_authority_says_what_is_wrong() -> None:
    with pytest.raises(CertificatesError, match=r"digits-ca has no tls\.key"):
        load_authority(SEARCH, with_file(GOOD[CA], "tls.key", None))


files = st.sampled_from(["ca.crt", "tls.crt", "tls.key"])
contents = st.none() | st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from([CA, *LEAVES]), st.none() | st.tuples(files, contents)))
def test_whatever_happens_to_secrets_one_plan_mends_them(spoilt: dict[str, tuple[str, str | None] | None]) -> None:
    secrets = dict(GOOD)
    for name, spoiling in spoilt.items():
        if spoiling is None:
            del secrets[name]
        else:
            secrets[name] = with_file(secrets[name], *spoiling)
    actions = plan_certificates(SEARCH, secrets, datetime.now(UTC), LIFETIME)
    assert {action.secret for action in actions} >= spoilt.keys() - {CA}
    assert planned(carry_out(actions, secrets)) == []
