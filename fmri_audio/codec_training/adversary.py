"""The discriminator of EnCodec's training (its sections 3.3 and 3.4): short-time spectra at several sizes.

Costs several times what a narrow codec itself costs; a recipe switches it on (``adversarial_from``) for a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
from encodec.msstftd import MultiScaleSTFTDiscriminator
from torch import Tensor, nn
from torch.nn import functional as F


class Adversary(nn.Module):
    """MS-STFT discriminator with its own optimiser.

    Parameters
    ----------
    filters : int
        Width; 32 in the paper.
    learning_rate : float
        Of its Adam.
    """

    def __init__(self, filters: int = 32, learning_rate: float = 3e-4) -> None:
        super().__init__()
        self.network = MultiScaleSTFTDiscriminator(filters)
        self.optimiser = torch.optim.Adam(self.network.parameters(), learning_rate, betas=(0.5, 0.9))

    def learn(self, real: Tensor, made: Tensor) -> float:
        """Take one step on the hinge loss of waveforms ``[B, T]``; returns the loss."""
        self.network.requires_grad_(True)
        logits_real, _ = self.network(real[:, None])
        logits_made, _ = self.network(made.detach()[:, None])
        scales = zip(logits_real, logits_made, strict=True)
        loss = torch.stack([F.relu(1 - r).mean() + F.relu(1 + m).mean() for r, m in scales]).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def terms(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """What the codec pays: ``adversarial`` (hinge) and ``features`` (relative distance of the layers)."""
        self.network.requires_grad_(False)
        with torch.no_grad():
            _, features_real = self.network(real[:, None])
        logits, features_made = self.network(made[:, None])
        pairs = [
            (r, m)
            for scale_r, scale_m in zip(features_real, features_made, strict=True)
            for r, m in zip(scale_r, scale_m, strict=True)
        ]
        return {
            "adversarial": torch.stack([F.relu(1 - m).mean() for m in logits]).mean(),
            "features": torch.stack([(r - m).abs().mean() / r.abs().mean() for r, m in pairs]).mean(),
        }

    def training_state(self) -> dict[str, Any]:
        """Weights and optimiser, for a resumable run."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`training_state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
