"""Which programs a cluster needs, and whether they have to be built."""

from pathlib import Path

import pytest

from tests.cluster.programs import MODULE, Programs, module_hash, obtain_programs, required_version
from tests.cluster.toolchain import version_of


def test_another_version_in_the_module_needs_another_build(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("require k8s.io/kubernetes v1.0.0")
    before = module_hash(tmp_path)
    assert module_hash(tmp_path) == before
    (tmp_path / "go.mod").write_text("require k8s.io/kubernetes v1.0.1")
    assert module_hash(tmp_path) != before


def test_a_file_of_another_name_needs_another_build(tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text("package main")
    before = module_hash(tmp_path)
    (tmp_path / "a.go").rename(tmp_path / "b.go")
    assert module_hash(tmp_path) != before


def test_versions_are_read_from_the_module() -> None:
    go_mod = (MODULE / "go.mod").read_text()
    assert version_of(required_version(go_mod, "go")) >= (1, 26)
    assert version_of(required_version(go_mod, "k8s.io/kubernetes")) >= (1, 36)


def test_a_module_that_is_not_required_has_no_version() -> None:
    with pytest.raises(ValueError, match=r"requires no k8s\.io/api"):
        required_version("require (\n\tk8s.io/apimachinery v0.36.3\n)\n", "k8s.io/api")


@pytest.mark.parametrize(
    ("text", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26, 8)), ("1.26", (1, 26, 0)), ("go version devel", ()), ("", ())],
)
def test_versions_of_go(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


def test_programs_in_the_cache_are_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBENAS_CLUSTER_PROGRAMS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")  # nothing to build with
    cached = tmp_path / "kubenas/cluster" / module_hash(MODULE)
    cached.mkdir(parents=True)
    assert obtain_programs() == Programs(cached)


def test_ready_made_programs_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBENAS_CLUSTER_PROGRAMS", str(tmp_path))
    assert obtain_programs().path("kubectl") == tmp_path / "kubectl"


def test_a_program_that_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="kwok is needed, and not on PATH"):
        Programs(None).path("kwok")
