"""Certificates of a search: an authority of its own, and one certificate for each party that speaks to its controller.

A certificate says who its holder is in one URI (subject alternative name), see `Identity`. A directory of certificates
holds `ca.crt`, `tls.crt` and `tls.key` (PEM), as a mounted Kubernetes TLS secret does.
"""

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_FILE = "ca.crt"
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"

# A certificate is valid from a little before it is made: clocks of nodes differ.
_CLOCK_SKEW = timedelta(minutes=5)
_IDENTITY = re.compile(r"kubenas://([^/]+/[^/]+)/(?:(controller|admin)|pool/([^/]+))")


class CertificatesError(Exception):
    """A directory of certificates cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate is for: `kubenas://NAMESPACE/NAME/` and then `controller`, `admin` or `pool/POOL`.

    Attributes:
        search: `namespace/name`.
        role: what its holder is to the search.
        pool: name of the pool of a worker, with the role `pool` only.
    """

    search: str
    role: Literal["controller", "admin", "pool"]
    pool: str = ""

    def __post_init__(self) -> None:
        if (self.role == "pool") != bool(self.pool):
            raise ValueError(
                f"role {self.role!r} with pool {self.pool!r}: a pool's certificate, and no other, names it"
            )
        if not _IDENTITY.fullmatch(str(self)):
            raise ValueError(f"{self.search!r} is not of the form namespace/name, or pool {self.pool!r} is not a name")

    def __str__(self) -> str:
        return f"kubenas://{self.search}/{f'pool/{self.pool}' if self.role == 'pool' else self.role}"

    @classmethod
    def parse(cls, uri: str) -> Self:
        """The identity that `uri` names.

        Raises:
            ValueError: it names none.
        """
        match = _IDENTITY.fullmatch(uri)
        if match is None:
            raise ValueError(
                f"{uri!r} is not of the form kubenas://NAMESPACE/NAME/controller, .../admin or .../pool/POOL"
            )
        search, role, pool = match.groups()
        if pool:
            return cls(search, "pool", pool)
        return cls(search, "admin" if role == "admin" else "controller")

    @classmethod
    def of_peer(cls, auth_context: Mapping[str, Iterable[bytes]]) -> Self | None:
        """The identity in a peer's certificate, from `grpc.ServicerContext.auth_context()`. None if it has none."""
        for name in auth_context.get("x509_subject_alternative_name", ()):
            if name.startswith(b"kubenas://"):
                return cls._of_name(name)
        return None

    @classmethod
    @lru_cache  # it is asked at every call, of few certificates
    def _of_name(cls, name: bytes) -> Self | None:
        try:
            return cls.parse(name.decode())
        except ValueError:
            return None

    @property
    def is_admin(self) -> bool:
        """Whether it may call every method: the operator and the command line."""
        return self.role == "admin"

    def may_work(self, pool: str) -> bool:
        """Whether it may lease architectures as a worker of `pool`."""
        return self.is_admin or (self.role == "pool" and self.pool == pool)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key, its certificate and the certificate of the authority that made it. All PEM."""

    ca: bytes
    certificate: bytes
    private_key: bytes

    def write(self, directory: Path) -> None:
        """Writes `ca.crt`, `tls.crt` and `tls.key` into `directory`, which is made if need be, for its owner alone.

        Each file is replaced whole. `server_credentials` picks the new ones up while it serves.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in (
            (CA_FILE, self.ca),
            (KEY_FILE, self.private_key),
            (CERTIFICATE_FILE, self.certificate),
        ):
            # Of mode 0600.
            descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                Path(temporary).replace(directory / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    @classmethod
    def read(cls, directory: Path) -> Self:
        """What `write` wrote, or a mounted TLS secret.

        Raises:
            CertificatesError: a file is missing or is no PEM, or the key is not the certificate's.
        """
        pair = cls._read_unchecked(directory)
        try:
            x509.load_pem_x509_certificates(pair.ca)
            certificate = x509.load_pem_x509_certificate(pair.certificate)
            key = serialization.load_pem_private_key(pair.private_key, password=None)
        except (ValueError, TypeError) as error:
            raise CertificatesError(
                f"{directory} does not hold certificates and a key in PEM without a password: {error}"
            ) from error
        if certificate.public_key() != key.public_key():
            raise CertificatesError(f"{directory / KEY_FILE} is not the key of {directory / CERTIFICATE_FILE}")
        return pair

    def read_if_changed(self, directory: Path) -> Self | None:
        """What `directory` holds now, or None if that is this pair, or is not usable (half written, say)."""
        try:
            return None if self._read_unchecked(directory) == self else self.read(directory)
        except CertificatesError:
            return None

    @classmethod
    def _read_unchecked(cls, directory: Path) -> Self:
        contents = []
        for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE):
            try:
                contents.append((directory / name).read_bytes())
            except OSError as error:
                raise CertificatesError(f"cannot read {directory / name}: {error.strerror}") from error
        return cls(*contents)


class CertificateAuthority:
    """Makes the certificates of one search. Nobody else's are accepted by its controller and workers."""

    def __init__(self, search: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._search = search
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, search: str, lifetime: timedelta) -> Self:
        """A new authority.

        Args:
            search: `namespace/name`.
            lifetime: of its own certificate, and so the most of those that it issues.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _authority_name(search)
        certificate = (
            _builder(subject, subject, key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(search, certificate, key)

    @classmethod
    def load(cls, search: str, certificate_pem: bytes, key_pem: bytes) -> Self:
        """An authority that was kept as `certificate` and `private_key`.

        Args:
            search: `namespace/name` that it must be of.
            certificate_pem: its certificate.
            key_pem: its key, without a password.

        Raises:
            CertificatesError: that is no authority of this search, or the key is another's.
        """
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            key = serialization.load_pem_private_key(key_pem, password=None)
        except (ValueError, TypeError) as error:
            raise CertificatesError(
                f"the authority of {search} is not a certificate and a key in PEM: {error}"
            ) from error
        if certificate.subject != _authority_name(search):
            raise CertificatesError(
                f"the certificate of {certificate.subject.rfc4514_string()} is not that of the authority of {search}"
            )
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            raise CertificatesError(f"the key is not that of the authority of {search}")
        return cls(search, certificate, key)

    @property
    def certificate(self) -> bytes:
        """Its own certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def private_key(self) -> bytes:
        """Its key, PEM without a password. Who has it can pose as any party of the search."""
        return _key_pem(self._key)

    def issue(
        self,
        identity: Identity,
        dns_names: Iterable[str] = (),
        ip_addresses: Iterable[str] = (),
        lifetime: timedelta = timedelta(days=365),
    ) -> KeyPair:
        """A new key (EC P-256) and its certificate.

        Args:
            identity: of its holder.
            dns_names: under which its holder serves.
            ip_addresses: at which its holder serves.
            lifetime: how long it is valid, cut to the authority's own.

        Raises:
            ValueError: the identity is of another search.
        """
        if identity.search != self._search:
            raise ValueError(f"{identity} is not of the search {self._search} that this authority is for")
        key = ec.generate_private_key(ec.SECP256R1())
        namespace, name = self._search.split("/")
        names = [
            x509.UniformResourceIdentifier(str(identity)),
            *(x509.DNSName(dns) for dns in dns_names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses),
        ]
        # A worker that could serve could pose as the controller.
        usage = ExtendedKeyUsageOID.SERVER_AUTH if identity.role == "controller" else ExtendedKeyUsageOID.CLIENT_AUTH
        lifetime = min(lifetime, self._certificate.not_valid_after_utc - datetime.now(UTC))
        certificate = (
            _builder(_name(namespace, name), self._certificate.subject, key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return KeyPair(
            ca=self.certificate,
            certificate=certificate.public_bytes(serialization.Encoding.PEM),
            private_key=_key_pem(key),
        )


def not_valid_after(certificate_pem: bytes) -> datetime:
    """When a certificate expires, UTC.

    Raises:
        ValueError: it is no certificate in PEM.
    """
    return x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc


def renewal_time(certificate_pem: bytes) -> datetime:
    """When a certificate should be replaced, UTC: at two thirds of its life, which leaves time for trouble.

    Raises:
        ValueError: it is no certificate in PEM.
    """
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * 2 / 3


def server_credentials(directory: Path) -> grpc.ServerCredentials:
    """Credentials of a server that accepts only clients with a certificate of the authority in `directory`.

    Files that change are read again at the next connection, so rotation needs no restart. While they cannot be used
    (half of them written, say), the last good ones stay in force.

    Raises:
        CertificatesError: they cannot be used to begin with.
    """
    current = KeyPair.read(directory)

    def configuration(pair: KeyPair) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(pair.private_key, pair.certificate)], root_certificates=pair.ca
        )

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal current
        newest = current.read_if_changed(directory)
        if newest is None:
            return None
        current = newest
        return configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        configuration(current),
        changed,  # type: ignore[arg-type]  # None is "no change" in grpc's documentation, but not in its stubs
        require_client_authentication=True,
    )


def channel_credentials(directory: Path) -> grpc.ChannelCredentials:
    """Credentials of a client that trusts only the controller of the authority in `directory`.

    They are read once: make a new channel to use rotated ones.

    Raises:
        CertificatesError: they cannot be used.
    """
    pair = KeyPair.read(directory)
    return grpc.ssl_channel_credentials(pair.ca, pair.private_key, pair.certificate)


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _authority_name(search: str) -> x509.Name:
    namespace, _, name = search.partition("/")
    return _name(namespace, f"{name} CA")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
