"""The values that labels can have. None grows with trials or workers."""

from grpc import StatusCode
from nas_api.rpc import trials_pb2 as pb

SEARCH = ("namespace", "search")
"""The labels that every metric has first."""

OUTCOMES = ("succeeded", "failed", "stopped_early", "replayed")
SAVINGS = ("duplicates", "early_stopping", "low_fidelity")
STAGES = ("search", "final_training")
ENDINGS = ("finished", "released", "lost", "expired")
FINAL_OUTCOMES = ("succeeded", "failed")

OTHER = "Other"
FAILURES = (
    "TaskRaised",
    "NonFiniteMetric",
    "NoMetric",
    "TimedOut",
    "OutOfMemory",
    "InvalidArchitecture",
    "AttemptsExhausted",
    OTHER,
)
"""Reasons of failed trials. What else a worker may say counts as the last one."""

UNARY_METHODS = tuple(
    method.name
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not method.server_streaming
)
METHODS = tuple(method.name for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods)
CODES = tuple(
    code.name
    for code in (
        StatusCode.OK,
        StatusCode.CANCELLED,
        StatusCode.UNKNOWN,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.PERMISSION_DENIED,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.UNAVAILABLE,
        StatusCode.UNAUTHENTICATED,
    )
)
"""What our services answer with, and what gRPC does when a call is given up or fails."""

NO_POOL = ""
"""The pool of what no worker did."""
MOST_POOLS = 64
"""Pools that are named: twice as many as a manifest can have. What comes later is `NO_POOL`."""
