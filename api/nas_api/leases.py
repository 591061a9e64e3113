"""What of a lease may be told in logs and traces, the same by controller and worker."""


def lease_id(token: str) -> str:
    """What tells a lease apart. The last part of its token is left out: who knows that holds the lease."""
    return token.rpartition(".")[0]
