"""From an architecture to a `torch.nn.Module`."""

from nas_child.network.convnet import ConvolutionalNetwork
from nas_child.network.language_model import LanguageModelNetwork
from nas_child.network.recurrent_cell import RecurrentLayer

__all__ = ["ConvolutionalNetwork", "LanguageModelNetwork", "RecurrentLayer"]
