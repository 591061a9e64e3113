"""`ConstraintChecker`: limits on parameters and operations, and words for what breaks them."""

import pytest
from nas_api import spec
from nas_api.architectures import ConvNet, Convolution, ImageShape, Layer
from nas_controller.constraints import ConstraintChecker

# 3*3*3*8 weights and 2*8 of the normalisation, then 8*10 weights and 10 biases: 322 parameters. Multiply-adds, twice:
# 2*(3*3*3*8)*16*16 of the convolution and 2*8*10 of the classifier: 110,752 operations.
NETWORK = ConvNet(layers=(Layer(operation=Convolution(filter_height=3, filter_width=3, filters=8)),))
IMAGE = ImageShape(3, 16, 16)


def check(image: ImageShape | None = IMAGE, **limits: int) -> str | None:
    space = spec.SearchSpace(conv_net=spec.ConvNetSpace(constraints=spec.Constraints(**limits)))
    return ConstraintChecker(space, image, 10).violation(NETWORK)


def test_a_network_at_its_limits_keeps_them() -> None:
    assert check(max_parameters=322, max_flops=110_752) is None


def test_too_many_parameters() -> None:
    assert check(max_parameters=321) == "322 parameters, and maxParameters is 321"


def test_too_many_operations() -> None:
    assert check(max_flops=110_751) == "110,752 FLOPs, and maxFlops is 110,751"


def test_without_limits_the_shape_of_the_data_does_not_matter() -> None:
    assert check(image=None) is None


def test_limits_need_the_shape_of_the_data() -> None:
    with pytest.raises(ValueError, match="the shape of the data is not known"):
        check(image=None, max_parameters=1)
