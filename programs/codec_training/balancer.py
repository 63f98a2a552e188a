"""Weights that mean shares of the gradient (EnCodec, section 3.4, "Balancer").

Terms of a loss differ in scale and the scales drift: a weight says little about who steers. Here the gradient of
each term with respect to the network's output is divided by its running norm before the weights apply.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Balancer:
    """Gradient of the weighted, balanced terms with respect to the output.

    Parameters
    ----------
    weights : mapping of str to float
        Share of each term; terms not named, or of weight 0, are left out.
    strength : float
        Norm of the sum of all shares, in units of the gradient of a mean absolute error.
    decay : float
        Of the running norms.

    Attributes
    ----------
    norms : dict of str to (Tensor, Tensor)
        Decayed sum of the norms of each term and of their count, where the output is: nothing waits for them. Part of
        the training state.
    """

    def __init__(self, weights: Mapping[str, float], strength: float = 2.0, decay: float = 0.99) -> None:
        self.weights, self.strength, self.decay = dict(weights), strength, decay
        self.norms: dict[str, tuple[Tensor, Tensor]] = {}

    def gradient(self, terms: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Gradient, shaped like ``output``, of which every term contributes its share.

        Parameters
        ----------
        terms : mapping of str to Tensor
            Scalars computed from ``output``.
        output : Tensor
            Requires a gradient; what lies before it is not touched.
        """
        used = {name: term for name, term in terms.items() if self.weights.get(name, 0.0) > 0}
        total = sum(self.weights[name] for name in used)
        unit = self.strength / output.numel() ** 0.5
        balanced = torch.zeros_like(output)
        for name, term in used.items():
            (gradient,) = torch.autograd.grad(term, output, retain_graph=True)
            norm = gradient.norm()
            sound = norm.isfinite()  # a broken term must not break the running norm
            if name not in self.norms:
                self.norms[name] = torch.zeros_like(norm), torch.zeros_like(norm)
            summed, count = self.norms[name]  # in place, so that a recorded step finds them again
            summed.copy_(torch.where(sound, self.decay * summed + norm, summed))
            count.copy_(torch.where(sound, self.decay * count + 1, count))
            balanced += gradient * (self.weights[name] / total * unit * count / (summed + 1e-12))
        return balanced
