"""`StatusResults`: what a cluster knows of a search without its controller: its status, and the ConfigMap NAME-best."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from nas_api.spec.status import TrialSummary
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import (
    FinalTrainingRecord,
    LeaseSpan,
    SampledTrial,
    TrialRecord,
    TrialState,
    UpdateRecord,
)
from nas_controller.progress import Progress, Verdict
from nas_controller.proposal import Proposal
from nas_operator.names import best_name, journal_claim_name

from nas_cli.cluster.cluster import Cluster, Forbidden, NotFound
from nas_cli.cluster.records import final_record
from nas_cli.cluster.searches import WEIGHTS_IN_CLUSTER, arguments_of
from nas_cli.failure import Failure
from nas_cli.search_results import SearchResults


class StatusResults(SearchResults):
    """The best trials, and everything of the very best one once the search has ended."""

    def __init__(self, cluster: Cluster, search: NASSearch, why: str) -> None:
        """Reads at need.

        Args:
            cluster: where it is.
            search: with its status.
            why: the controller does not tell more.
        """
        super().__init__(search)
        self._cluster = cluster
        self._why = why

    @property
    def arguments(self) -> str:
        """`NAME --namespace NAMESPACE`."""
        return arguments_of(self.search)

    def finished(self, *, after: int = 0, measurements: bool = False) -> list[TrialRecord]:  # noqa: ARG002
        """Not known."""
        raise self._unknown("the course of the search is")

    def trials(self, newest: int | None = None) -> list[TrialRecord]:
        """The best trials, by number."""
        records = sorted(self.best(10), key=lambda record: record.sampled.trial)
        return records if newest is None else records[-newest:]

    def failed(self, newest: int | None = None) -> list[TrialRecord]:  # noqa: ARG002
        """Not known."""
        raise self._unknown("which trials failed is")

    def best(self, limit: int) -> list[TrialRecord]:
        """The ten trials of the highest rewards, without measurements, and all but the best without architecture."""
        records = [_record(trial) for trial in self.search.status.top_trials]
        ended_with = self._best_of_config_map
        return [
            ended_with if ended_with and ended_with.sampled.trial == record.sampled.trial else record
            for record in records[:limit]
        ]

    def numbered(self, trial: int) -> TrialRecord | None:
        """The best trial of a search that has ended."""
        if self._best_of_config_map is None or self._best_of_config_map.sampled.trial != trial:
            raise self._unknown(f"the architecture of trial {trial} is")
        return self._best_of_config_map

    def trial(self, reference: str) -> TrialRecord:
        """As in general. Without an architecture there is nothing to show of a trial."""
        record = super().trial(reference)
        return record if record.sampled.architecture else self._with_architecture(record)

    def updates(self, *, after: int = 0) -> Sequence[UpdateRecord]:  # noqa: ARG002
        """Not known."""
        return ()

    def final_trainings(self) -> list[FinalTrainingRecord]:
        """The one that counts of the best trial."""
        result = self._files.get("finalTraining")
        if not result:
            return []
        message = pb.FinalResult(
            training=result["training"],
            settings=json.dumps(result["settings"]),
            reward=result["reward"],
            metrics=result["metrics"],
        )
        return [final_record(self._files["trial"], message)]

    def lease_spans(self) -> list[LeaseSpan]:
        """Not known."""
        raise self._unknown("when which workers trained is")

    def progress(self) -> Progress:
        """Not known but for the numbers of trials."""
        raise self._unknown("how far the search came is")

    def verdict(self) -> Verdict | None:
        """Not known but for what its conditions say."""
        raise self._unknown("how the search ended is")

    def remarks(self) -> Mapping[str, str]:
        """Not known."""
        return {}

    def data_shape(self) -> DataShape | None:
        """Not known."""
        return None

    def twin(self) -> AbstractContextManager[None]:
        """There is nothing to compare it with."""
        return nullcontext()

    def how_to_train(self, trial: int) -> str:  # noqa: ARG002
        """The weights of a second stage stay in the cluster."""
        return WEIGHTS_IN_CLUSTER

    def _with_architecture(self, record: TrialRecord) -> TrialRecord:
        found = self.numbered(record.sampled.trial)
        assert found is not None
        return found

    @cached_property
    def _files(self) -> dict[str, Any]:
        """`trial.json` of the ConfigMap, with the architecture in it. Empty: there is none."""
        name = best_name(self.name)
        try:
            data = self._cluster.get(self._cluster.path("configmaps", name), f"configmap {name}")["data"]
        except (NotFound, Forbidden):
            return {}
        return {**json.loads(data["trial.json"]), "architecture": data.get("architecture.json", "")}

    @cached_property
    def _best_of_config_map(self) -> TrialRecord | None:
        files = self._files
        if not files or not files["architecture"]:
            return None
        architecture = json.loads(files["architecture"])
        sampled = SampledTrial(
            files["trial"], 0, Proposal((), len(architecture.get("layers", ()))), json.dumps(architecture),
            files["digest"], files["parameters"] or 0, files["flops"] or 0,
        )  # fmt: skip
        return TrialRecord(
            sampled=sampled,
            policy_version=files["policyVersion"],
            state=TrialState(files["state"]),
            attempts=files["attempts"],
            worker=files["worker"],
            sequence=files["sequence"],
            reward=files["reward"],
            train_seconds=files["trainSeconds"],
            finished_at=datetime.fromisoformat(files["finishedAt"]).timestamp(),
        )

    def _unknown(self, what: str) -> Failure:
        claim = journal_claim_name(self.name)
        return Failure(
            f"{what} known to the controller of {self.search.full_name} alone, which cannot be asked: {self._why}."
            f"{self._how_to_bring_it_back()} Its journal is in the volume of the claim {claim}, as long as that is "
            "kept: docs/operations.md says how to copy it"
        )

    def _how_to_bring_it_back(self) -> str:
        """A sentence about a search that has ended so long ago that its controller was stopped; else empty."""
        status = self.search.status
        stopped = any(each.type == "ControllerAvailable" and each.reason == "Stopped" for each in status.conditions)
        if not stopped or not status.finished_at:
            return ""
        hours = (datetime.now(UTC) - datetime.fromisoformat(status.finished_at)) // timedelta(hours=1)
        patch = json.dumps({"spec": {"controller": {"ttlAfterFinished": f"{hours + 24}h"}}})
        command = ["kubectl", "patch", "nassearch", *shlex.split(self.arguments), "--type=merge", "--patch", patch]
        return (
            f" It was stopped some time after the end of the search. For a day, `{shlex.join(command)}` brings it back."
        )


def _record(trial: TrialSummary) -> TrialRecord:
    finished_at = datetime.fromisoformat(trial.finished_at).timestamp() if trial.finished_at else 0.0
    sampled = SampledTrial(trial.id, 0, Proposal((), 0), "", trial.digest, trial.parameters or 0, trial.flops or 0)
    return TrialRecord(sampled, 0, TrialState.SUCCEEDED, reward=trial.reward, finished_at=finished_at)
