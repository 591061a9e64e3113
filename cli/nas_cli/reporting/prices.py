"""What a search has cost, when it is known what a worker of a pool costs."""

import math
from collections.abc import Collection, Mapping, Sequence

from nas_cli.failure import BadInput
from nas_cli.reporting.material import Material
from nas_cli.reporting.pools import PoolUse

_HOUR = 3600.0


def pool_names(material: Material) -> list[str]:
    """The pools of a search: those of its manifest, and those that it has had and that have trained."""
    named = [pool.name for pool in material.search.spec.pools] + [span.pool for span in material.leases if span.pool]
    return list(dict.fromkeys(named))


def parse_prices(given: Sequence[str], pools: Collection[str]) -> dict[str, float]:
    """The price of an hour of a worker of each pool, from arguments as `POOL=PRICE`.

    Raises:
        BadInput: one is not of this form, or is for a pool that is not of `pools`.
    """
    prices: dict[str, float] = {}
    for argument in given:
        pool, _, price = argument.rpartition("=")
        try:
            value = float(price)
        except ValueError:
            value = math.nan
        if not pool or not math.isfinite(value) or value < 0:
            raise BadInput(f"--price {argument}: give it as POOL=PRICE, as in --price {next(iter(pools), 'gpu')}=2.50")
        if pool not in pools:
            raise BadInput(f"--price {argument}: there is no pool {pool}. There is {', '.join(pools)}")
        if pool in prices:
            raise BadInput(f"--price {argument}: the price of {pool} is given twice")
        prices[pool] = value
    return prices


def costs(uses: Sequence[PoolUse], prices: Mapping[str, float]) -> dict[str, float]:
    """What the busy time of the workers of each pool has cost whose price is known."""
    busy = {use.pool: use.busy for use in uses}
    return {pool: busy.get(pool, 0.0) / _HOUR * price for pool, price in prices.items()}
