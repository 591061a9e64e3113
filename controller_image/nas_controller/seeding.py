"""Seeds that are derived from others, so that every random choice depends on the search's one seed."""

import hashlib


def derived_seed(*parts: int) -> int:
    """A 63-bit seed that depends on all of `parts`, the same on every machine."""
    digest = hashlib.sha256(b"".join(part.to_bytes(8, "little") for part in parts)).digest()
    return int.from_bytes(digest[:8], "little") >> 1
