"""The operator's client and a real controller, over mTLS."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nas_api.certificates import Identity, KeyPair
from nas_api.rpc import trials_pb2 as pb
from nas_operator.cache import Key
from nas_operator.controller_client import ControllerAddress, ControllerClient, ControllerError

from tests.integration.controller_process import ControllerProcess

KEY = Key("default", "test")


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[ControllerProcess]:
    controller = ControllerProcess(tmp_path)
    controller.write_manifest("  budget: {maxTrials: 12}")
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def client() -> Iterator[ControllerClient]:
    client = ControllerClient()
    yield client
    client.close()


def address(controller: ControllerProcess, certificate: str = "admin") -> ControllerAddress:
    return ControllerAddress(controller.listen, "localhost", KeyPair.read(controller.directory / certificate))


def test_the_controller_says_how_the_search_stands(controller: ControllerProcess, client: ControllerClient) -> None:
    summary = client.summary(KEY, address(controller))
    assert summary.search == "default/test"
    assert summary.max_trials == 12


def test_the_controller_does_what_it_is_told(controller: ControllerProcess, client: ControllerClient) -> None:
    client.drain(KEY, address(controller), ("test-gpu-0-abcdefgh-xyz",))
    client.set_state(KEY, address(controller), pb.SetStateRequest(state=pb.Summary.SUSPENDED, reason="Suspended"))
    assert client.summary(KEY, address(controller)).state == pb.Summary.SUSPENDED


def test_a_channel_is_kept_until_the_certificate_changes(
    controller: ControllerProcess, client: ControllerClient
) -> None:
    client.summary(KEY, address(controller))
    kept = client._connections[KEY].channel
    client.summary(KEY, address(controller))
    assert client._connections[KEY].channel is kept
    pair = controller.authority.issue(Identity(controller.search, "admin"))
    client.summary(KEY, replace(address(controller), certificate=pair))
    assert client._connections[KEY].channel is not kept
    client.forget(KEY)
    assert client.summary(KEY, address(controller)).search == "default/test"


def test_who_is_no_administrator_is_refused_in_words(controller: ControllerProcess, client: ControllerClient) -> None:
    with pytest.raises(ControllerError, match="the controller refuses the operator's certificate"):
        client.summary(KEY, address(controller, "worker"))


def test_a_certificate_of_another_search_is_refused_in_words(
    controller: ControllerProcess, client: ControllerClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = ControllerProcess(tmp_path_factory.mktemp("other"), "default/other")
    stranger = replace(address(other), target=controller.listen)
    with pytest.raises(ControllerError, match="one side refuses the other's certificate"):
        client.summary(KEY, stranger)


def test_a_controller_of_another_name_is_not_trusted(controller: ControllerProcess, client: ControllerClient) -> None:
    with pytest.raises(ControllerError, match="one side refuses the other's certificate"):
        client.summary(KEY, replace(address(controller), host="other-controller.default.svc"))


def test_a_controller_that_is_gone_is_found_again(controller: ControllerProcess, client: ControllerClient) -> None:
    target = address(controller)
    client.summary(KEY, target)
    controller.kill()
    with pytest.raises(ControllerError):  # a connection that ends, or one that is refused
        client.summary(KEY, target)
    for _ in range(3):
        with pytest.raises(ControllerError, match=f"cannot be reached at {target.target}: connection refused"):
            client.summary(KEY, target)
    controller.start()
    while True:
        try:
            assert client.summary(KEY, target).search == "default/test"
            return
        except ControllerError:
            continue


def test_an_address_where_nobody_answers_is_given_up_in_seconds(
    controller: ControllerProcess, client: ControllerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_operator.controller_client._DEADLINE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ControllerError, match=f"does not answer at {target}"):
            client.summary(KEY, replace(address(controller), target=target))


def test_nothing_is_asked_by_way_of_a_proxy(
    controller: ControllerProcess, client: ControllerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert client.summary(KEY, address(controller)).search == "default/test"
