"""`kubectl nas`, as a user runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.search import Search


@dataclass(frozen=True)
class KubectlNas:
    """The plugin of this checkout, in the namespace of a search.

    Attributes:
        search: there.
        user: whom to be (`--as` of kubectl does not reach plugins): a kubeconfig of theirs. None: the administrator.
    """

    search: Search
    kubeconfig: Path | None = None

    def run(self, *arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """What it does, whatever its exit status."""
        cluster = self.search.cluster
        environment = dict(cluster.environment)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        if self.kubeconfig is not None:
            environment["KUBECONFIG"] = str(self.kubeconfig)
        command = [str(cluster.programs.path("kubectl")), "nas", *arguments, "--namespace", self.search.namespace]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=timeout)

    def __call__(self, *arguments: str) -> str:
        """What it prints when all is well."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout
