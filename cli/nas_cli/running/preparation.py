"""Makes a state directory ready for a run: the manifest, and certificates for all who take part."""

import shutil
from datetime import timedelta

from nas_api.certificates import CertificateAuthority, Identity
from nas_api.manifest import ManifestError, dump_manifest, immutable_differences, load_manifest
from nas_api.spec import NASSearch

from nas_cli.failure import BadInput
from nas_cli.results import open_results
from nas_cli.running.local_run import worker_certificates
from nas_cli.state_directory import StateDirectory

_LIFETIME = timedelta(days=365)


def prepare(directory: StateDirectory, search: NASSearch) -> bool:
    """Makes `directory` ready. Whether the search in it has ended already, also by the budget that `search` gives it.

    Raises:
        BadInput: another search lives there, or something there cannot be read or written.
    """
    if search.spec.suspend:
        raise BadInput("spec.suspend is true, so the search would not begin: set it to false")
    try:
        if directory.manifest.exists():
            _compare(directory, search)
        _write_manifest(directory, search)
        if directory.journal.exists() and _has_ended(directory):
            return True
        _issue_certificates(directory, search)
    except OSError as error:
        raise BadInput(f"cannot write to the state directory {directory.path}: {error}") from error
    return False


def _compare(directory: StateDirectory, search: NASSearch) -> None:
    try:
        former = load_manifest(directory.manifest)
    except ManifestError as error:
        raise BadInput(f"the state directory {directory.path} cannot be taken up again: {error}") from error
    differences = immutable_differences(former, search)
    if differences:
        listed = "\n".join(f"  {difference}" for difference in differences)
        raise BadInput(
            f"{directory.path} holds a search that differs in what cannot be changed once it has begun:\n{listed}\n"
            "Undo the change to go on with it, or start anew in another directory with --state DIR"
        )


def _write_manifest(directory: StateDirectory, search: NASSearch) -> None:
    new = directory.manifest.with_suffix(".new")
    new.write_text(
        f"# Written by `nas run`: the manifest as it is run, with what --set changed.\n{dump_manifest(search)}"
    )
    new.replace(directory.manifest)


def _has_ended(directory: StateDirectory) -> bool:
    with open_results(directory.path) as results:
        verdict = results.verdict()
        # One that failed goes on: who runs it again has mended what was wrong.
        return verdict is not None and verdict.state == "SUCCEEDED"


def _issue_certificates(directory: StateDirectory, search: NASSearch) -> None:
    """An authority for this run alone: its key is never written, so nobody can make another certificate."""
    if directory.certificates.exists():
        shutil.rmtree(directory.certificates)
    name = search.full_name
    authority = CertificateAuthority.create(name, _LIFETIME)
    server = authority.issue(Identity(name, "controller"), dns_names=["localhost"], ip_addresses=["127.0.0.1"])
    server.write(directory.certificates / "server")
    authority.issue(Identity(name, "admin")).write(directory.certificates / "admin")
    for pool in search.spec.pools:
        authority.issue(Identity(name, "pool", pool.name)).write(worker_certificates(directory, pool.name))
