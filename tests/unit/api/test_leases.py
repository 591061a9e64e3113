"""What of a lease may be told."""

from nas_api.leases import lease_id


def test_what_names_a_lease_does_not_give_it() -> None:
    assert lease_id("1.17first.gpus.c2VjcmV0") == "1.17first.gpus"
