"""The strings by which tables name architectures, as sequences of decisions."""

import re

_NODE = re.compile(r"\|(?:[^|~+]+~\d+\|)+")
_EDGE = re.compile(r"([^|~+]+)~(\d+)\|")


class ArchitectureStringError(ValueError):
    """A string is of no kind that is known here; the message quotes it."""


def read_architecture(text: str) -> dict[str, str | int]:
    """The decisions, by name and in order, of an architecture.

    Two kinds are known. A cell of NAS-Bench-201 (Dong & Yang 2020) lists the edges that enter each of its nodes, as in
    `|nor_conv_3x3~0|+|none~0|skip_connect~1|`: the operation on the edge from node 1 to node 2 is the decision
    `edge_1_2`. In a string of digits each is a decision, named `digit_INDEX`.

    Raises:
        ArchitectureStringError: `text` is neither.
    """
    if text.isascii() and text.isdecimal():
        return {f"digit_{index}": int(digit) for index, digit in enumerate(text)}
    decisions: dict[str, str | int] = {}
    for node, edges in enumerate(text.split("+"), 1):
        if not _NODE.fullmatch(edges):
            break
        for operation, source in _EDGE.findall(edges):
            name = f"edge_{source}_{node}"
            if int(source) >= node or name in decisions:
                raise ArchitectureStringError(f"{text!r} has an edge {source} -> {node} twice or backwards")
            decisions[name] = operation
    else:
        return decisions
    raise ArchitectureStringError(
        f"{text!r} is neither a cell such as |nor_conv_3x3~0|+|none~0|skip_connect~1| nor a string of digits"
    )
