"""`python -m nas_operator` up to where it connects."""

import re
from pathlib import Path

import pytest
from nas_operator.__main__ import main
from nas_operator.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"KUBENAS_{name.upper()}", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))


def test_help_lists_every_setting_with_its_meaning_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    for name, field in Settings.model_fields.items():
        assert f"KUBENAS_{name.upper()} {field.description}" in text
        assert field.description
    assert "KUBENAS_CHILD_IMAGE Image of the workers of searches that name none. (required)" in text
    assert "(IfNotPresent, Always or Never; default: IfNotPresent)" in text
    assert "(default: 2160h)" in text
    assert "python -m nas_operator" in text


def test_settings_that_are_missing_or_wrong_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBENAS_CONTROLLER_IMAGE", "controller:1")
    monkeypatch.setenv("KUBENAS_WORKERS", "many")
    assert main([]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "nas_operator: KUBENAS_CHILD_IMAGE is not set: image of the workers of searches that name none",
        "nas_operator: KUBENAS_WORKERS is 'many': input should be a valid integer, unable to parse string as an "
        "integer",
    ]


def test_without_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBENAS_CONTROLLER_IMAGE", "controller:1")
    monkeypatch.setenv("KUBENAS_CHILD_IMAGE", "child:1")
    assert main([]) == 78
    assert "set KUBECONFIG" in capsys.readouterr().err.splitlines()[-1]
