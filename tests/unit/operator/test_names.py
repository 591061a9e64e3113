"""Names: Kubernetes accepts them for the longest search and pool, and two things of one search never share one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_api.spec.nassearch import API_GROUP
from nas_operator import names

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_LABEL_OF_A_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SEARCH_LENGTH, POOL_LENGTH = 52, 63

LETTERS = st.sampled_from("abz019-")


def dns_labels(longest: int) -> st.SearchStrategy[str]:
    """Also of the longest length, and with dashes where names are cut."""
    texts = st.one_of(
        st.text(LETTERS, min_size=1, max_size=longest), st.text(LETTERS, min_size=longest, max_size=longest)
    )
    return texts.map(lambda text: re.sub(r"^-|-$", "x", text))


searches = dns_labels(SEARCH_LENGTH)
pools = dns_labels(POOL_LENGTH)
slots = st.integers(0, 9_999)
templates = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)


@given(searches, pools, slots, templates)
def test_every_name_is_one_that_kubernetes_accepts(search: str, pool: str, slot: int, template: str) -> None:
    of_search = [
        names.manifest_name(search),
        names.best_name(search),
        names.authority_name(search),
        names.controller_certificate_name(search),
        names.admin_certificate_name(search),
        names.workers_name(search),
    ]
    for name in [*of_search, names.pool_certificate_name(search, pool), names.pool_name(search, pool)]:
        assert len(name) <= 253
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


@given(searches)
def test_the_name_of_the_controller_leaves_room_for_the_hash_in_the_labels_of_its_pods(search: str) -> None:
    name = names.controller_name(search)
    # A Service's name is a label of RFC 1035, and the pods are labelled with `{name}-{hash of 10}`.
    assert DNS_LABEL_OF_A_SERVICE.fullmatch(name)
    assert len(f"{name}-0123456789") <= 63


@given(searches, pools, slots, templates)
def test_the_name_of_a_job_leaves_room_for_the_suffix_of_its_pods(
    search: str, pool: str, slot: int, template: str
) -> None:
    name = names.job_name(search, pool, slot, template)
    assert DNS_LABEL.fullmatch(f"{name}-abcde")
    assert name.endswith(f"-{slot}-{template}")


@given(
    searches,
    st.lists(pools, min_size=2, max_size=4, unique=True),
    st.lists(slots, min_size=2, max_size=3, unique=True),
    st.lists(templates, min_size=2, max_size=2, unique=True),
)
def test_workers_of_a_search_have_names_of_their_own(
    search: str, some_pools: list[str], some_slots: list[int], some_templates: list[str]
) -> None:
    jobs = [
        names.job_name(search, pool, slot, template)
        for pool in some_pools
        for slot in some_slots
        for template in some_templates
    ]
    assert len(set(jobs)) == len(jobs)
    assert len({names.pool_name(search, pool) for pool in some_pools}) == len(some_pools)


@given(searches, st.lists(pools, min_size=1, max_size=4, unique=True))
def test_the_secrets_of_a_search_have_names_of_their_own(search: str, some_pools: list[str]) -> None:
    secrets = [
        names.authority_name(search),
        names.controller_certificate_name(search),
        names.admin_certificate_name(search),
        *(names.pool_certificate_name(search, pool) for pool in some_pools),
    ]
    assert len(set(secrets)) == len(secrets)


@given(st.lists(searches, min_size=2, max_size=3, unique=True))
def test_two_searches_share_no_name(some_searches: list[str]) -> None:
    for name_of in (names.controller_name, names.manifest_name, names.best_name, names.authority_name):
        assert len({name_of(search) for search in some_searches}) == len(some_searches)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (names.controller_name("digits"), "digits-controller"),
        (names.controller_name("2024-digits"), "nas-2024-digits-controller"),
        (names.pool_name("digits", "spot"), "digits-spot"),
        (names.job_name("digits", "spot", 7, "0123abcd"), "digits-spot-7-0123abcd"),
        (names.best_name("digits"), "digits-best"),
    ],
)
def test_short_names_can_be_read(name: str, expected: str) -> None:
    assert name == expected


def test_an_object_is_of_a_search_if_the_operator_has_labelled_it() -> None:
    labels = names.labels("digits", "worker")
    assert names.search_of(labels) == "digits"
    assert names.search_of({f"{API_GROUP}/search": "digits"}) is None
    assert names.search_of({}) is None
