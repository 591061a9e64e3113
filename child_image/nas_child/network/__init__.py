"""From an architecture to a `torch.nn.Module`."""

from nas_child.network.convnet import ConvolutionalNetwork

__all__ = ["ConvolutionalNetwork"]
