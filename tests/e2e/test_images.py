"""The images, as docker or podman runs them: what is in them, what is not, and a search in two of them.

Every container has a read-only file system with /tmp alone to write in, no network of the machine, no capabilities, and
the user of the image. The images are built from this checkout, unless `IMAGE_REPOSITORY` and `IMAGE_TAG` name others.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from nas_api.certificates import CertificateAuthority, Identity
from nas_controller.journal.sqlite import SqliteJournal

from tests.e2e.image_containers import Container, Images
from tests.e2e.installation import REPOSITORY, TAG, build_images
from tools.images.command import ROOT, TARGETS, version
from tools.images.engine import Engine

SEARCH = "default/images"
MANIFEST = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata: {name: images}
spec:
  searchSpace:
    convNet: {layers: {initial: 2, increment: 0}, filters: [4, 8]}
  trainer: {epochs: 1}
  budget: {maxTrials: 3}
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: test, user: {token: test}}]
"""
# 10 % above what was measured with the images of --base local and PyTorch 2.15 with CUDA 13: 401, 5,935 and 5,969 MB.
CEILINGS = {"operator": 440e6, "controller": 6.53e9, "child": 6.57e9}
# What does the work, and imports all that it needs.
MAIN = {"operator": "nas_operator.__main__", "controller": "nas_controller.command", "child": "nas_child.command"}
# Of our own code, two layers: 0.6 to 1.4 MB.
THIN = 3e6


@pytest.fixture(scope="session")
def images() -> Images:
    if "IMAGE_TAG" not in os.environ:
        build_images(TAG)
    repository = os.environ.get("IMAGE_REPOSITORY", REPOSITORY)
    images = Images(Engine.find().program, repository, os.environ.get("IMAGE_TAG", TAG))
    missing = [images.name(target) for target in TARGETS if not Engine(images.program).has_image(images.name(target))]
    assert not missing, f"{images.program} has no {', '.join(missing)}: build them with tools/build-images"
    return images


@pytest.fixture
def start(images: Images) -> Iterator[Callable[..., Container]]:
    """Starts containers, which go when the test ends."""
    started: list[Container] = []

    def start(target: str, *arguments: str, **options: Any) -> Container:
        started.append(Container(images, target, *arguments, **options))
        return started[-1]

    yield start
    for container in reversed(started):
        images.run("rm", "--force", container.id)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """What Kubernetes would mount: the manifest, and a directory of certificates for each party."""
    authority = CertificateAuthority.create(SEARCH, timedelta(days=1))
    for name, identity in {
        "controller": Identity(SEARCH, "controller"),
        "worker": Identity(SEARCH, "pool", "default"),
    }.items():
        authority.issue(identity, ["localhost"], ["127.0.0.1"]).write(tmp_path / name)
    (tmp_path / "search.yaml").write_text(MANIFEST)
    (tmp_path / "state").mkdir()
    tmp_path.chmod(0o755)
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "state").chmod(0o777)  # its owner is not the user of the image
    return tmp_path


def controller(start: Callable[..., Container], inputs: Path) -> Container:
    return start(
        "controller",
        *("--manifest", "/inputs/search.yaml", "--state", "/state", "--certificates", "/inputs/controller"),
        *("--listen", "127.0.0.1:50051"),
        volumes={"/inputs": inputs, "/state": inputs / "state"},
    )


def worker(start: Callable[..., Container], inputs: Path, network: str = "none") -> Container:
    return start(
        "child",
        *("--manifest", "/inputs/search.yaml", "--controller", "127.0.0.1:50051"),
        *("--certificates", "/inputs/worker", "--pool", "default"),
        volumes={"/inputs": inputs},
        network=network,
    )


def operator(start: Callable[..., Container], inputs: Path) -> Container:
    """An operator whose API server does not answer."""
    (inputs / "kubeconfig").write_text(KUBECONFIG)
    (inputs / "kubeconfig").chmod(0o644)
    images = {"KUBENAS_CONTROLLER_IMAGE": "controller", "KUBENAS_CHILD_IMAGE": "child"}
    return start("operator", volumes={"/inputs": inputs}, environment={"KUBECONFIG": "/inputs/kubeconfig", **images})


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_without_rights_and_writes_only_in_tmp(images: Images, target: str) -> None:
    assert images.inspect(target)["Config"]["User"] == "65532:65532"
    assert images.shell(target, "id -u; id -g").split() == ["65532", "65532"]
    writable = images.shell(target, "find / -writable ! -type l ! -path '/proc/*' ! -path '/dev/*' 2>/dev/null; :")
    assert writable.split() == ["/tmp"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_any_other_user(images: Images, target: str) -> None:
    command = ["run", "--rm", *images.restricted(), "--user", "1000650000:0", images.name(target), "--help"]
    assert f"usage: python -m nas_{target}" in images.run(*command)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_installs_or_compiles_is_in_an_image(images: Images, target: str) -> None:
    programs = "pip pip3 uv gcc cc g++ c++ clang ld as make git curl wget"
    assert images.shell(target, f"for name in {programs}; do command -v $name; done; :") == ""
    modules = "pip", "uv", "ensurepip", "wheel"
    code = f"from importlib.util import find_spec; print([name for name in {modules} if find_spec(name)])"
    assert images.python(target, code) == "[]"
    caches = "/tmp /root /var/cache/apt/archives /var/lib/apt/lists"
    files = "find $(ls -d {} 2>/dev/null) -type f ! -name lock ! -name .bashrc ! -name .profile 2>/dev/null; :"
    assert images.shell(target, files.format(caches)) == ""


@pytest.mark.parametrize("target", TARGETS)
def test_no_index_and_no_certificates_of_the_builder_are_in_an_image(images: Images, target: str) -> None:
    variables = {line.partition("=")[0] for line in images.inspect(target)["Config"]["Env"]}
    assert not [name for name in variables if name.startswith(("UV_", "PIP_", "SSL_")) or "INDEX" in name]
    history = images.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", images.name(target))
    assert "INDEX" not in history
    assert images.shell(target, "ls -d /etc/pip.conf /etc/uv /run/secrets 2>/dev/null; :") == ""


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_our_code_of_its_part_alone(images: Images, target: str) -> None:
    assert images.shell(target, "ls /app").split() == sorted(["nas_api", f"nas_{target}"])


@pytest.mark.parametrize("target", TARGETS)
def test_every_module_that_a_start_imports_is_compiled(images: Images, target: str) -> None:
    code = f"""
import importlib.util, os, sys
import {MAIN[target]}
sources = [m.__file__ for m in list(sys.modules.values()) if str(getattr(m, "__file__", "")).endswith(".py")]
assert len(sources) > 100
print([s for s in sources if not os.path.exists(importlib.util.cache_from_source(s))])
"""
    assert images.python(target, code) == "[]"


def test_the_operator_has_kubernetes_and_no_torch(images: Images) -> None:
    code = """
from importlib.util import find_spec
print({name: bool(find_spec(name)) for name in ("kopf", "kubernetes", "torch", "numpy", "nas_child")})
"""
    expected = {"kopf": True, "kubernetes": True, "torch": False, "numpy": False, "nas_child": False}
    assert images.python("operator", code) == str(expected)


@pytest.mark.parametrize("target", ["controller", "child"])
def test_controller_and_child_have_torch_and_no_kubernetes(images: Images, target: str) -> None:
    code = """
from importlib.util import find_spec
print({name: bool(find_spec(name)) for name in ("torch", "kopf", "kubernetes")})
"""
    assert images.python(target, code) == str({"torch": True, "kopf": False, "kubernetes": False})


@pytest.mark.parametrize("target", TARGETS)
def test_packages_are_those_pinned_for_the_image(images: Images, target: str) -> None:
    code = "from importlib.metadata import distributions as d; print(*(f'{p.name}=={p.version}' for p in d()))"
    pinned = (ROOT / f"requirements/{target}.txt").read_text().split()
    installed = images.python(target, code).lower().replace("_", "-").replace(".dist", "").split()
    assert sorted(name.replace("_", "-") for name in pinned) == sorted(installed)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is(images: Images, target: str) -> None:
    labels = images.inspect(target)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"KubeNAS {target}"
    assert labels["org.opencontainers.image.version"] == version()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.description"]
    assert "org.opencontainers.image.revision" in labels


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_is_no_larger_than_it_was(images: Images, target: str) -> None:
    assert images.inspect(target)["Size"] < CEILINGS[target]


def test_controller_and_child_share_the_layers_of_torch(images: Images) -> None:
    layers = [images.inspect(target)["RootFS"]["Layers"] for target in ("controller", "child")]
    shared = [ours for ours, theirs in zip(*layers, strict=True) if ours == theirs]
    assert len(shared) >= len(layers[0]) - 4  # own packages and their list, nas_api, own code


@pytest.mark.parametrize("target", TARGETS)
def test_our_code_is_thin_and_last(images: Images, target: str) -> None:
    kilobytes = images.shell(target, "du -sk /app | cut -f 1")
    assert int(kilobytes) * 1024 < THIN
    history = images.run("history", "--no-trunc", "--format", "{{.Size}}|{{.CreatedBy}}", images.name(target))
    layers = [line for line in history.split("\n") if not line.startswith(("0B|", "0 B|"))]
    assert f"/app/nas_{target}" in layers[0]
    assert "/app/nas_api" in layers[1]


def test_a_search_runs_in_the_images_and_ends_in_order(
    start: Callable[..., Container], inputs: Path, images: Images
) -> None:
    serving = controller(start, inputs)
    serving.wait_until(lambda: "serving default/images" in serving.logs())
    working = worker(start, inputs, f"container:{serving.id}")
    assert working.exit_status() == 0, working.logs()  # retired, since the search has ended
    assert serving.terminate() == 0, serving.logs()
    with SqliteJournal(inputs / "state/journal.sqlite", SEARCH) as journal:
        rewards = [trial.reward for trial in journal.finished()]
    assert len(rewards) == 3
    assert all(reward for reward in rewards)


@pytest.mark.parametrize("start_it", [operator, controller, worker])
def test_an_image_ends_on_sigterm_from_when_it_can_receive_it(
    start: Callable[..., Container], inputs: Path, start_it: Callable[..., Container]
) -> None:
    container = start_it(start, inputs)
    container.wait_until_it_handles_sigterm()
    assert container.terminate() == 0, container.logs()


def test_a_worker_that_waits_for_its_controller_ends_on_sigterm(start: Callable[..., Container], inputs: Path) -> None:
    waiting = worker(start, inputs)
    waiting.wait_until(lambda: bool(waiting.logs()))
    assert waiting.terminate() == 0, waiting.logs()


def test_a_controller_that_serves_ends_on_sigterm(start: Callable[..., Container], inputs: Path) -> None:
    serving = controller(start, inputs)
    serving.wait_until(lambda: "serving" in serving.logs())
    assert serving.terminate() == 0, serving.logs()


def test_an_unusable_configuration_ends_with_78_and_says_why(start: Callable[..., Container], inputs: Path) -> None:
    (inputs / "search.yaml").write_text("kind: Pod")
    container = worker(start, inputs)
    assert container.exit_status() == 78
    assert "NASSearch" in container.logs()
