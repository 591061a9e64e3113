"""Certificates that components prove who they are with."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cluster.credentials import USERS, write_credentials
from tests.cluster.layout import Layout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    made = Layout(tmp_path_factory.mktemp("c"))
    made.create()
    write_credentials(made, "https://127.0.0.1:1234", ["kubernetes", "127.0.0.1"], "node0", "10.0.0.1")
    return made


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.pki / f"{name}.crt").read_bytes())


@pytest.mark.parametrize("name", ["apiserver", "kubelet", "front-proxy-client", *USERS])
def test_each_certificate_is_signed_by_the_authority(layout: Layout, name: str) -> None:
    certificate(layout, name).verify_directly_issued_by(certificate(layout, "ca"))


def test_the_api_server_is_known_by_its_names(layout: Layout) -> None:
    names = certificate(layout, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_user_and_its_group_are_the_subject(layout: Layout) -> None:
    subject = certificate(layout, "kubelet").subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:node0"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]


def test_kubeconfigs_lead_to_the_server(layout: Layout) -> None:
    config = json.loads(layout.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1234"


def test_nobody_else_can_read_keys(layout: Layout) -> None:
    secrets: list[Path] = [*layout.pki.glob("*.key"), *layout.kubeconfigs.iterdir()]
    assert secrets
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}
