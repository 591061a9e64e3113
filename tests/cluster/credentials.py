"""The certificate authority of a cluster, a certificate for each component, and the kubeconfigs that hold them."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.layout import Layout

_LIFETIME = timedelta(days=365)
_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH

# The users that the API server's built-in roles are bound to.
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    "coredns": ("system:coredns", None),
}


def write_credentials(layout: Layout, server: str, server_names: Sequence[str], node: str, node_address: str) -> None:
    """Writes everything that the components prove who they are with.

    Args:
        layout: Where to.
        server: URL of the API server.
        server_names: DNS names and IP addresses that its certificate is valid for.
        node: Name of the real node.
        node_address: Its IP address.
    """
    authority = _Authority(layout.pki)
    authority.issue("apiserver", "kube-apiserver", None, [_SERVER], server_names)
    authority.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters", [_CLIENT])
    authority.issue("front-proxy-client", "front-proxy-client", None, [_CLIENT])
    authority.issue("kubelet", f"system:node:{node}", "system:nodes", [_CLIENT, _SERVER], [node, node_address])
    for component, (user, group) in USERS.items():
        authority.issue(component, user, group, [_CLIENT])
    for component in ["kubelet", *USERS]:
        _write_kubeconfig(layout, component, server)

    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(layout.pki / "service-account.key", key)
    (layout.pki / "service-account.pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


class _Authority:
    """Makes `NAME.crt` and `NAME.key` in a directory, first its own, `ca`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubenas-test-cluster")])
        certificate = (
            self._builder(self.name, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self._write("ca", certificate, self.key)

    def issue(
        self,
        file: str,
        common_name: str,
        organization: str | None,
        usages: Sequence[x509.ObjectIdentifier],
        names: Sequence[str] = (),
    ) -> None:
        """Writes a certificate for a user (common name) of a group (organization), valid for the names given."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        builder = (
            self._builder(x509.Name(subject), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False
            )
        self._write(file, builder.sign(self.key, hashes.SHA256()), key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))  # clocks differ
            .not_valid_after(now + _LIFETIME)
        )

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        (self.directory / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(self.directory / f"{file}.key", key)


def _key_usage(key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _write_kubeconfig(layout: Layout, component: str, server: str) -> None:
    def data(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    path = layout.kubeconfigs / component
    path.touch(mode=0o600)
    cluster = {"server": server, "certificate-authority-data": data("ca.crt")}
    user = {"client-certificate-data": data(f"{component}.crt"), "client-key-data": data(f"{component}.key")}
    path.write_text(  # JSON is YAML
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": component, "user": user}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": component}}],
                "current-context": "test",
            },
            indent=1,
        )
    )
