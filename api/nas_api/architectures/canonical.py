"""Canonical order of a labelled directed acyclic graph, so that the same network is written the same way.

Colour refinement (Weisfeiler & Leman 1968) tells nodes apart by what surrounds them. Where a class of equal nodes is
left, one of them is singled out and the refinement goes on (McKay & Piperno 2014, "Practical graph isomorphism II"); of
all orders found that way the one with the smallest adjacency is taken. NAS-Bench-101 hashes its cells by refinement
alone, which takes some different graphs for equal; here equal forms are always isomorphic graphs.
"""

from collections.abc import Iterator, Sequence
from typing import Any

# Leaves of the search tree looked at before the smallest one so far is taken. Only a highly regular graph has more; two
# numberings of such a network may then count as two networks, but never two networks as one.
_MAX_LEAVES = 256


def canonical_order(labels: Sequence[str], inputs: Sequence[Sequence[int]]) -> list[int]:
    """Node indices in an order that depends only on the labelled graph, not on how its nodes are numbered.

    Args:
        labels: what each node is.
        inputs: for each node the nodes that it takes, each of a smaller index.

    Returns:
        A permutation of the indices in which every node follows its inputs.
    """
    count = len(labels)
    outputs: list[list[int]] = [[] for _ in range(count)]
    depth = [0] * count
    for node, taken in enumerate(inputs):
        for i in taken:
            outputs[i].append(node)
            depth[node] = max(depth[node], depth[i] + 1)

    def refine(colours: list[int]) -> list[int]:
        while True:
            signatures = [
                (
                    colours[n],
                    tuple(sorted(colours[i] for i in inputs[n])),
                    tuple(sorted(colours[o] for o in outputs[n])),
                )
                for n in range(count)
            ]
            refined = _ranks(signatures)
            if len(set(refined)) == len(set(colours)):
                return refined
            colours = refined

    def leaves(colours: list[int]) -> Iterator[list[int]]:
        colours = refine(colours)
        classes: dict[int, list[int]] = {}
        for node, colour in enumerate(colours):
            classes.setdefault(colour, []).append(node)
        tied = next((nodes for colour, nodes in sorted(classes.items()) if len(nodes) > 1), None)
        if tied is None:
            yield sorted(range(count), key=colours.__getitem__)
            return
        seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        for node in tied:
            # Twins, nodes with the very same neighbours, can change places: one of them stands for all.
            neighbours = (tuple(inputs[node]), tuple(outputs[node]))
            if neighbours in seen:
                continue
            seen.add(neighbours)
            # Doubling leaves room for one colour below each class.
            yield from leaves([2 * c - (n == node) + 1 for n, c in enumerate(colours)])

    # Depth comes first, so that every order found is a topological one.
    start = _ranks([(depth[n], labels[n]) for n in range(count)])
    best: tuple[list[list[int]], list[int]] | None = None
    for found, order in enumerate(leaves(start)):
        position = {old: new for new, old in enumerate(order)}
        adjacency = [sorted(position[i] for i in inputs[old]) for old in order]
        if best is None or adjacency < best[0]:
            best = (adjacency, order)
        if found + 1 >= _MAX_LEAVES:
            break
    assert best is not None
    return best[1]


def _ranks(keys: Sequence[Any]) -> list[int]:
    """The rank of each key among the distinct keys, from 0. Keys are tuples of integers, strings and tuples."""
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return [ranks[key] for key in keys]
