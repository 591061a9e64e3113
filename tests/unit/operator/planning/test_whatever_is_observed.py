"""Whatever somebody has done to the objects of a search: there is a plan, and it brings everything back."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from nas_operator.observed import Object

from tests.unit.operator.planning.simulated_cluster import SimulatedCluster

# Texts that people and other programs may write into labels, annotations and statuses.
TEXTS = st.sampled_from(
    ["", "0", "-1", "7", "99999999999999999999", "yesterday", "2026-01-01T00:00:00Z", "\N{ROMAN NUMERAL TEN}"]
)
OPTIONAL = ("labels", "annotations", "ownerReferences", "creationTimestamp", "generation")


def spoil(target: Object, data: st.DataObject) -> None:
    """Takes something away from an object that need not be there, or writes something else into it."""
    metadata = target["metadata"]
    what = data.draw(st.sampled_from([*OPTIONAL, "status", "data", "a text"]))
    if what == "a text":
        texts = [(metadata[field], key) for field in ("labels", "annotations") for key in metadata.get(field, {})]
        texts += [(condition, "reason") for condition in target.get("status", {}).get("conditions", ())]
        if texts:
            field, key = data.draw(st.sampled_from(texts))
            field[key] = data.draw(TEXTS)
    elif what in OPTIONAL:
        metadata.pop(what, None)
    else:
        target.pop(what, None)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_there_is_a_plan(data: st.DataObject) -> None:
    cluster = SimulatedCluster(pools=[{"name": "gpus", "replicas": 2}])
    cluster.settle()
    cluster.scale("gpus", data.draw(st.integers(0, 3)))
    if data.draw(st.booleans()):
        cluster.reconcile()
    for _ in range(data.draw(st.integers(1, 4))):
        objects: list[Any] = [
            cluster.search, *cluster.jobs.values(), *cluster.pods.values(), *cluster.pools.values(),
            *cluster.secrets.values(), *cluster.config_maps.values(), cluster.stateful_set, cluster.service,
        ]  # fmt: skip
        spoil(data.draw(st.sampled_from(objects)), data)
    for pods in (False, True):
        cluster.plan(pods=pods)
