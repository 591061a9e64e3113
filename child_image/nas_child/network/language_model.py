"""`LanguageModelNetwork`: embeddings, layers of a recurrent cell, and scores of the next token (paper, section 4.2)."""

from nas_api.architectures import RecurrentCell
from nas_api.spec.trainer import LanguageModel
from torch import Tensor, nn

from nas_child.network.recurrent_cell import RecurrentLayer, State


class LanguageModelNetwork(nn.Module):
    """A recurrent language model with dropout on what enters and leaves each layer (Zaremba et al. 2014)."""

    def __init__(self, cell: RecurrentCell, settings: LanguageModel, vocabulary: int) -> None:
        """Builds the network with random weights.

        Args:
            cell: of all layers, each with weights of its own.
            settings: sizes, number of layers, dropout, and whether embeddings are shared (Press & Wolf 2017).
            vocabulary: number of different tokens.
        """
        super().__init__()
        hidden = settings.hidden_size
        embedding = settings.embedding_size or hidden
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.layers = nn.ModuleList(
            RecurrentLayer(cell, hidden if index else embedding, hidden) for index in range(settings.layers)
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.decoder = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        if settings.shared_embeddings:
            self.decoder.weight = self.embedding.weight

    def initial_state(self, batch: int) -> list[State]:
        """The state of each layer before the first token."""
        return [layer.initial_state(batch) for layer in self._layers()]

    def forward(self, tokens: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Scores of the token after each one, before the softmax.

        Args:
            tokens: int64, (steps, batch).
            state: of each layer, before the first of them.

        Returns:
            The scores, (steps, batch, vocabulary), and the state after the last token.
        """
        features = self.dropout(self.embedding(tokens))
        after = []
        for layer, before in zip(self._layers(), state, strict=True):
            features, reached = layer(features, before)
            features = self.dropout(features)
            after.append(reached)
        scores: Tensor = self.decoder(features)
        return scores, after

    def _layers(self) -> list[RecurrentLayer]:
        return [layer for layer in self.layers if isinstance(layer, RecurrentLayer)]
