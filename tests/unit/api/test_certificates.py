"""Certificates: who is let in, over real TLS sockets, and what a directory of them must hold."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from nas_api.certificates import (
    CertificateAuthority,
    CertificatesError,
    Identity,
    KeyPair,
    channel_credentials,
    not_valid_after,
    renewal_time,
    server_credentials,
)

SEARCH = "default/digits"
CONTROLLER = Identity(SEARCH, "controller")
ADMIN = Identity(SEARCH, "admin")
WORKER = Identity(SEARCH, "pool", "gpu")
METHOD = "/test.Test/Who"


def authority() -> CertificateAuthority:
    return CertificateAuthority.create(SEARCH, timedelta(hours=1))


def server_pair(ca: CertificateAuthority) -> KeyPair:
    return ca.issue(CONTROLLER, ["localhost"], ["127.0.0.1"])


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[str]:
    """A server that answers every call with the identity of the caller; yields its address."""

    async def who(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return str(Identity.of_peer(context.auth_context())).encode()

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler("test.Test", {"Who": grpc.unary_unary_rpc_method_handler(who)})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(directory))
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def who_am_i(address: str, credentials: grpc.ChannelCredentials) -> str:
    # A subchannel pool of its own: no other test's connection is used again.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        return (await call(b"", timeout=20)).decode()


async def assert_refused(address: str, credentials: grpc.ChannelCredentials) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await who_am_i(address, credentials)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("identity", [WORKER, ADMIN])
async def test_a_client_of_the_search_is_let_in_and_the_server_knows_who_it_is(
    tmp_path: Path, identity: Identity
) -> None:
    ca = authority()
    server_pair(ca).write(tmp_path / "server")
    ca.issue(identity).write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        assert await who_am_i(address, channel_credentials(tmp_path / "client")) == str(identity)


async def test_a_client_of_a_foreign_authority_is_refused_even_if_it_is_of_a_search_of_the_same_name(
    tmp_path: Path,
) -> None:
    ca = authority()
    server_pair(ca).write(tmp_path / "server")
    foreign = authority().issue(ADMIN)
    # It trusts the server; the server must not trust it.
    KeyPair(ca.certificate, foreign.certificate, foreign.private_key).write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        await assert_refused(address, channel_credentials(tmp_path / "client"))


async def test_a_client_refuses_the_server_of_a_foreign_authority(tmp_path: Path) -> None:
    ca = authority()
    client = ca.issue(ADMIN)
    foreign = server_pair(authority())
    KeyPair(ca.certificate, foreign.certificate, foreign.private_key).write(tmp_path / "server")
    client.write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        await assert_refused(address, channel_credentials(tmp_path / "client"))


async def test_an_expired_client_is_refused(tmp_path: Path) -> None:
    ca = authority()
    server_pair(ca).write(tmp_path / "server")
    ca.issue(WORKER, lifetime=timedelta(seconds=-1)).write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        await assert_refused(address, channel_credentials(tmp_path / "client"))


async def test_a_client_without_a_certificate_is_refused(tmp_path: Path) -> None:
    ca = authority()
    server_pair(ca).write(tmp_path / "server")
    async with serving(tmp_path / "server") as address:
        await assert_refused(address, grpc.ssl_channel_credentials(ca.certificate))


async def test_a_worker_cannot_pose_as_the_controller(tmp_path: Path) -> None:
    ca = authority()
    ca.issue(WORKER, ["localhost"], ["127.0.0.1"]).write(tmp_path / "server")
    ca.issue(ADMIN).write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        await assert_refused(address, channel_credentials(tmp_path / "client"))


async def test_rotated_certificates_are_in_force_at_the_next_connection_without_a_restart(tmp_path: Path) -> None:
    old, new = authority(), authority()
    server_pair(old).write(tmp_path / "server")
    old.issue(WORKER).write(tmp_path / "old")
    new.issue(WORKER).write(tmp_path / "new")
    async with serving(tmp_path / "server") as address:
        await assert_refused(address, channel_credentials(tmp_path / "new"))
        server_pair(new).write(tmp_path / "server")
        assert await who_am_i(address, channel_credentials(tmp_path / "new")) == str(WORKER)
        await assert_refused(address, channel_credentials(tmp_path / "old"))


async def test_while_certificates_are_half_written_the_last_good_ones_stay_in_force(tmp_path: Path) -> None:
    ca = authority()
    server_pair(ca).write(tmp_path / "server")
    ca.issue(WORKER).write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        # The new certificate with the old key.
        (tmp_path / "server" / "tls.crt").write_bytes(server_pair(ca).certificate)
        assert await who_am_i(address, channel_credentials(tmp_path / "client")) == str(WORKER)
        (tmp_path / "server" / "tls.crt").unlink()
        assert await who_am_i(address, channel_credentials(tmp_path / "client")) == str(WORKER)


def test_keys_and_their_directory_are_for_their_owner_alone(tmp_path: Path) -> None:
    authority().issue(ADMIN).write(tmp_path / "admin")
    assert sorted(path.name for path in (tmp_path / "admin").iterdir()) == ["ca.crt", "tls.crt", "tls.key"]
    assert stat.S_IMODE((tmp_path / "admin").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "admin" / "tls.key").stat().st_mode) == 0o600


def test_a_pair_reads_back_as_it_was_written(tmp_path: Path) -> None:
    pair = authority().issue(ADMIN)
    pair.write(tmp_path)
    assert KeyPair.read(tmp_path) == pair


@pytest.mark.parametrize("missing", ["ca.crt", "tls.crt", "tls.key"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    authority().issue(ADMIN).write(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(CertificatesError, match=f"cannot read .*{missing}: No such file"):
        server_credentials(tmp_path)


def test_garbage_is_refused(tmp_path: Path) -> None:
    authority().issue(ADMIN).write(tmp_path)
    (tmp_path / "tls.crt").write_bytes(b"\x00\xff")
    with pytest.raises(CertificatesError, match="does not hold certificates and a key in PEM"):
        channel_credentials(tmp_path)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    ca = authority()
    ca.issue(ADMIN).write(tmp_path)
    (tmp_path / "tls.key").write_bytes(ca.issue(ADMIN).private_key)
    with pytest.raises(CertificatesError, match=r"tls\.key is not the key of .*tls\.crt"):
        channel_credentials(tmp_path)


async def test_an_authority_that_was_kept_issues_certificates_that_its_former_ones_trust(tmp_path: Path) -> None:
    ca = authority()
    server_pair(ca).write(tmp_path / "server")
    kept = CertificateAuthority.load(SEARCH, ca.certificate, ca.private_key)
    assert (kept.certificate, kept.private_key) == (ca.certificate, ca.private_key)
    kept.issue(WORKER).write(tmp_path / "client")
    async with serving(tmp_path / "server") as address:
        assert await who_am_i(address, channel_credentials(tmp_path / "client")) == str(WORKER)


def test_an_authority_of_another_search_is_not_taken_for_this_ones() -> None:
    ca = authority()
    with pytest.raises(CertificatesError, match="O=default is not that of the authority of team/digits"):
        CertificateAuthority.load("team/digits", ca.certificate, ca.private_key)


def test_a_certificate_that_an_authority_issued_is_not_taken_for_its_own() -> None:
    pair = authority().issue(ADMIN)
    with pytest.raises(CertificatesError, match="CN=digits,O=default is not that of the authority"):
        CertificateAuthority.load(SEARCH, pair.certificate, pair.private_key)


def test_an_authority_is_not_loaded_with_the_key_of_another() -> None:
    with pytest.raises(CertificatesError, match="the key is not that of the authority of default/digits"):
        CertificateAuthority.load(SEARCH, authority().certificate, authority().private_key)


@pytest.mark.parametrize("garbage", [b"", b"-----BEGIN CERTIFICATE-----", b"\x00\xff"])
def test_an_authority_is_not_loaded_from_garbage(garbage: bytes) -> None:
    ca = authority()
    for certificate, key in ((garbage, ca.private_key), (ca.certificate, garbage)):
        with pytest.raises(CertificatesError, match="is not a certificate and a key in PEM"):
            CertificateAuthority.load(SEARCH, certificate, key)


def test_a_certificate_is_renewed_at_two_thirds_of_its_life() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    ca = CertificateAuthority.create(SEARCH, timedelta(days=3650))
    pair = ca.issue(WORKER, lifetime=timedelta(days=90))
    now = datetime.now(UTC)
    assert before + timedelta(days=90) <= not_valid_after(pair.certificate) <= now + timedelta(days=90)
    # It was valid five minutes before it was made, which a third of its life does not notice.
    third = not_valid_after(pair.certificate) - renewal_time(pair.certificate)
    assert third == pytest.approx(timedelta(days=30), abs=timedelta(minutes=2))
    assert renewal_time(ca.certificate) > renewal_time(pair.certificate)


def test_no_certificate_outlives_its_authority() -> None:
    ca = CertificateAuthority.create(SEARCH, timedelta(hours=1))
    assert not_valid_after(ca.issue(WORKER).certificate) <= not_valid_after(ca.certificate)


def test_an_authority_issues_for_its_own_search_alone() -> None:
    with pytest.raises(ValueError, match="is not of the search default/digits"):
        authority().issue(Identity("default/other", "admin"))


@pytest.mark.parametrize("identity", [CONTROLLER, ADMIN, WORKER])
def test_an_identity_is_read_back_from_its_uri(identity: Identity) -> None:
    assert Identity.parse(str(identity)) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://default/digits/admin",
        "kubenas://default/admin",
        "kubenas://default/digits/root",
        "kubenas://default/digits/pool/",
        "kubenas://default/digits/pool/a/b",
        "kubenas://default/digits/admin/x",
        "kubenas://a/b/c/admin",
    ],
)
def test_a_uri_that_names_no_identity_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        Identity.parse(uri)
    assert Identity.of_peer({"x509_subject_alternative_name": [uri.encode()]}) is None


def test_a_peer_without_a_uri_has_no_identity() -> None:
    assert Identity.of_peer({}) is None
    assert Identity.of_peer({"x509_subject_alternative_name": [b"localhost"]}) is None


@pytest.mark.parametrize(("role", "pool"), [("pool", ""), ("admin", "gpu"), ("pool", "a/b")])
def test_only_a_pool_has_the_name_of_a_pool(role: str, pool: str) -> None:
    with pytest.raises(ValueError, match="pool"):
        Identity(SEARCH, role, pool)  # type: ignore[arg-type]


def test_a_worker_works_for_its_own_pool_and_an_admin_for_any() -> None:
    assert WORKER.may_work("gpu")
    assert not WORKER.may_work("cpu")
    assert ADMIN.may_work("gpu")
    assert not CONTROLLER.may_work("gpu")
    assert [identity.is_admin for identity in (CONTROLLER, ADMIN, WORKER)] == [False, True, False]
