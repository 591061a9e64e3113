"""NASPools: made of the manifest, and scaled by others."""

import pytest
from nas_api.spec import NASPool
from nas_operator.observed import Object
from nas_operator.resources.applied import is_applied
from nas_operator.resources.pool import build_pool

from tests.unit.operator.resources.searches import search_of


def pool_of(in_manifest: int, replicas: int, default_image: str = "worker:1") -> Object:
    search = search_of({"pools": [{"name": "spot", "replicas": in_manifest}]})
    return build_pool(search, search.spec.pools[0], replicas, default_image)


def test_it_is_a_valid_pool_of_the_search() -> None:
    pool = pool_of(in_manifest=3, replicas=3)
    assert pool["metadata"]["name"] == "digits-spot"
    document = pool | {"metadata": {key: pool["metadata"][key] for key in ("name", "namespace")}}
    spec = NASPool.model_validate(document).spec
    assert (spec.search, spec.pool, spec.replicas) == ("digits", "spot", 3)


def test_it_remembers_the_replicas_of_the_manifest_and_the_image_of_its_day() -> None:
    assert (
        pool_of(in_manifest=3, replicas=7)["metadata"]["annotations"].items()
        >= {
            "kubenas.dev/replicas-of-search": "3",
            "kubenas.dev/default-image": "worker:1",
        }.items()
    )


def test_scaling_it_leaves_nothing_to_apply() -> None:
    made = pool_of(in_manifest=3, replicas=3)
    scaled = made | {"spec": made["spec"] | {"replicas": 7}}
    assert is_applied(pool_of(in_manifest=3, replicas=7), scaled)


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(pool_of(in_manifest=4, replicas=4), id="an edit of the manifest"),
        pytest.param(pool_of(in_manifest=4, replicas=3), id="an edit to what it was scaled to"),
        pytest.param(pool_of(in_manifest=3, replicas=3, default_image="worker:2"), id="another image"),
    ],
)
def test_an_edit_is_applied(wanted: Object) -> None:
    assert not is_applied(wanted, pool_of(in_manifest=3, replicas=3))
