"""Convolutional networks: the repair rules, the counts, and one digest for one network."""

import networkx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    Layer,
    MaxPooling,
    parse_architecture,
)
from nas_api.architectures.convnet import Operation
from pydantic import ValidationError

IMAGE = ImageShape(channels=3, height=32, width=32)
CONV = Convolution(filter_height=3, filter_width=3, filters=24)
OPERATIONS: list[Operation] = [
    CONV,
    Convolution(filter_height=5, filter_width=3, filters=24, stride_height=2),
    MaxPooling(size=2, stride=2),
    BatchNormalization(),
]


def network(*layers: tuple[Operation, tuple[int, ...]]) -> ConvNet:
    return ConvNet(layers=tuple(Layer(operation=operation, inputs=inputs) for operation, inputs in layers))


@st.composite
def networks(draw: st.DrawFn, max_layers: int = 7, operations: int = len(OPERATIONS)) -> ConvNet:
    count = draw(st.integers(1, max_layers))
    return network(
        *(
            (
                OPERATIONS[draw(st.integers(0, operations - 1))],
                tuple(j for j in range(index) if draw(st.booleans())),
            )
            for index in range(count)
        )
    )


def renumbered(net: ConvNet, data: st.DataObject) -> ConvNet:
    """The same network with its layers in another order, in which each still follows its inputs."""
    order: list[int] = []
    while len(order) < len(net.layers):
        ready = [i for i in range(len(net.layers)) if i not in order and set(net.layers[i].inputs) <= set(order)]
        order.append(data.draw(st.sampled_from(ready)))
    return network(
        *((net.layers[old].operation, tuple(sorted(order.index(i) for i in net.layers[old].inputs))) for old in order)
    )


def graph(net: ConvNet) -> "networkx.DiGraph[int]":
    result: networkx.DiGraph[int] = networkx.DiGraph()
    for index, layer in enumerate(net.layers):
        result.add_node(index, operation=layer.operation.model_dump_json())
        result.add_edges_from((i, index) for i in layer.inputs)
    return result


def isomorphic(a: ConvNet, b: ConvNet) -> bool:
    return networkx.is_isomorphic(graph(a), graph(b), node_match=lambda x, y: x["operation"] == y["operation"])


class TestCanonicalForm:
    @settings(deadline=None)
    @given(data=st.data(), net=networks(max_layers=12))
    def test_the_order_of_layers_does_not_matter(self, data: st.DataObject, net: ConvNet) -> None:
        other = renumbered(net, data)
        assert other.digest == net.digest
        assert other.canonical() == net.canonical()

    @settings(deadline=None, max_examples=300)
    @given(a=networks(max_layers=5, operations=2), b=networks(max_layers=5, operations=2))
    def test_digests_are_equal_if_and_only_if_the_networks_are_isomorphic(self, a: ConvNet, b: ConvNet) -> None:
        assert (a.digest == b.digest) == isomorphic(a, b)

    @settings(deadline=None)
    @given(data=st.data(), net=networks())
    def test_another_operation_is_another_network(self, data: st.DataObject, net: ConvNet) -> None:
        index = data.draw(st.integers(0, len(net.layers) - 1))
        layers = [(layer.operation, layer.inputs) for layer in net.layers]
        layers[index] = (AveragePooling(size=2, stride=2), layers[index][1])
        assert network(*layers).digest != net.digest

    @settings(deadline=None)
    @given(data=st.data(), net=networks(operations=2))
    def test_another_edge_is_another_network_unless_it_is_isomorphic(self, data: st.DataObject, net: ConvNet) -> None:
        assume(len(net.layers) > 1)
        index = data.draw(st.integers(1, len(net.layers) - 1))
        other = data.draw(st.integers(0, index - 1))
        layers = [(layer.operation, layer.inputs) for layer in net.layers]
        layers[index] = (layers[index][0], tuple(sorted({*layers[index][1]} ^ {other})))
        changed = network(*layers)
        assert (changed.digest == net.digest) == isomorphic(changed, net)

    @settings(deadline=None)
    @given(net=networks())
    def test_the_canonical_form_is_the_same_network_and_its_own_canonical_form(self, net: ConvNet) -> None:
        canonical = net.canonical()
        assert isomorphic(canonical, net)
        assert canonical.canonical() == canonical
        assert canonical.digest == net.digest

    @pytest.mark.parametrize(
        "inputs",
        [
            pytest.param([() if i % 2 == 0 else (i - 1,) for i in range(20)], id="ten chains of two"),
            pytest.param(
                [() if i < 6 else tuple(sorted({i - 6, (i - 5) % 6})) for i in range(12)], id="a ring of twelve"
            ),
            pytest.param(
                [() if i < 6 else tuple(j for j in range(6) if j != i - 6) for i in range(12)], id="a crown of twelve"
            ),
        ],
    )
    @settings(deadline=None, max_examples=20)
    @given(data=st.data())
    def test_a_network_full_of_symmetries_has_one_digest(
        self, inputs: list[tuple[int, ...]], data: st.DataObject
    ) -> None:
        net = network(*((CONV, taken) for taken in inputs))
        assert renumbered(net, data).digest == net.digest

    def test_what_refinement_alone_takes_for_equal_is_told_apart(self) -> None:
        def ring(start: int, size: int) -> list[tuple[int, ...]]:
            return [tuple(sorted({start + i, start + (i + 1) % size})) for i in range(size)]

        # Every layer has two neighbours of the same kind: one ring of twelve against two rings of six.
        one = [*[()] * 6, *ring(0, 6)]
        two = [*[()] * 6, *ring(0, 3), *ring(3, 3)]
        a, b = (network(*((CONV, taken) for taken in inputs)) for inputs in (one, two))
        assert a.digest != b.digest

    def test_a_digest_never_changes(self) -> None:
        # Journals hold digests: after a change, an architecture of an old journal would count as a new one.
        net = network((CONV, ()), (MaxPooling(size=2, stride=2), (0,)), (CONV, (0, 1)))
        assert net.digest == "62485fd652f01a065f1416eed9b53e78"


class TestJson:
    @settings(deadline=None)
    @given(net=networks())
    def test_a_network_is_read_back_as_it_was_written(self, net: ConvNet) -> None:
        assert parse_architecture(net.to_json()) == net

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "{}",
            '{"type":"ConvNet","layers":[]}',
            '{"type":"Transformer","layers":[{"operation":{"op":"BatchNormalization"}}]}',
            '{"type":"ConvNet","layers":[{"operation":{"op":"Dense"}}]}',
            '{"type":"ConvNet","layers":[{"operation":{"op":"Convolution","filterHeight":0,"filterWidth":3,"filters":4}}]}',
            '{"type":"ConvNet","layers":[{"operation":{"op":"MaxPooling","size":2}}]}',
            '{"type":"ConvNet","layers":[{"operation":{"op":"BatchNormalization"},"extra":1}]}',
            '{"type":"ConvNet","layers":[{"operation":{"op":"BatchNormalization"},"inputs":[-1]}]}',
        ],
    )
    def test_what_is_no_network_is_refused(self, text: str) -> None:
        with pytest.raises(ValidationError):
            parse_architecture(text)

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ((1,), "only layers before it can be inputs"),
            ((2,), "only layers before it can be inputs"),
            ((0, 0), "must ascend and differ"),
        ],
    )
    def test_a_layer_takes_each_earlier_layer_at_most_once(self, inputs: tuple[int, ...], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            network((CONV, ()), (CONV, inputs))

    def test_inputs_ascend(self) -> None:
        with pytest.raises(ValidationError, match="must ascend and differ"):
            network((CONV, ()), (CONV, ()), (CONV, (1, 0)))


class TestShapes:
    def test_a_layer_without_inputs_takes_the_image(self) -> None:
        net = network((CONV, ()), (CONV, ()))
        assert [entering for entering, _ in net.shapes(IMAGE)] == [IMAGE, IMAGE]

    def test_outputs_that_nothing_takes_are_concatenated_for_the_classifier(self) -> None:
        net = network((CONV, ()), (CONV, (0,)), (CONV, ()))
        assert net.loose_ends == (1, 2)
        assert net.classifier_shape(IMAGE) == ImageShape(48, 32, 32)

    def test_inputs_of_different_sizes_are_padded_to_the_largest_and_concatenated_in_depth(self) -> None:
        tall = Convolution(filter_height=1, filter_width=1, filters=8, stride_width=2)
        wide = Convolution(filter_height=1, filter_width=1, filters=4, stride_height=3)
        net = network((tall, ()), (wide, ()), (CONV, (0, 1)))
        assert [leaving for _, leaving in net.shapes(IMAGE)][:2] == [ImageShape(8, 32, 16), ImageShape(4, 11, 32)]
        assert net.shapes(IMAGE)[2] == (ImageShape(12, 32, 32), ImageShape(24, 32, 32))

    def test_a_feature_map_never_vanishes(self) -> None:
        pool = MaxPooling(size=2, stride=8)
        net = network((pool, ()), *((pool, (i,)) for i in range(5)))
        assert net.classifier_shape(IMAGE) == ImageShape(3, 1, 1)


class TestCounts:
    def test_parameters_are_filters_normalisations_and_the_classifier(self) -> None:
        net = network((CONV, ()), (BatchNormalization(), (0,)), (MaxPooling(size=2, stride=2), (1,)))
        convolution = 3 * 3 * 3 * 24 + 2 * 24
        assert net.count_parameters(IMAGE, classes=10) == convolution + 2 * 24 + (24 + 1) * 10

    def test_flops_are_two_for_each_multiply_add(self) -> None:
        half = Convolution(filter_height=3, filter_width=5, filters=8, stride_height=2, stride_width=2)
        net = network((half, ()))
        assert net.count_flops(IMAGE, classes=10) == 2 * 3 * 5 * 3 * 8 * 16 * 16 + 2 * 8 * 10

    @settings(deadline=None)
    @given(net=networks())
    def test_the_canonical_form_has_the_same_size_and_cost(self, net: ConvNet) -> None:
        assert net.canonical().count_parameters(IMAGE, 10) == net.count_parameters(IMAGE, 10)
        assert net.canonical().count_flops(IMAGE, 10) == net.count_flops(IMAGE, 10)
