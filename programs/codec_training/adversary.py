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
    device : str
    """

    def __init__(self, filters: int = 32, learning_rate: float = 3e-4, device: str = "cpu") -> None:
        super().__init__()
        self.network = MultiScaleSTFTDiscriminator(filters)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), learning_rate, betas=(0.5, 0.9), capturable=device == "cuda"
        )

    def _judge(self, *sounds: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Logits and features per scale of waveforms ``[B, T]``, one batch after the other."""
        # half the bits are enough to tell sounds apart, and this is where the time goes
        with torch.autocast(sounds[0].device.type, torch.bfloat16, cache_enabled=False):
            logits, features = self.network(torch.cat(sounds)[:, None])
        return [one.float() for one in logits], features

    def learn(self, real: Tensor, made: Tensor) -> Tensor:
        """Take one step on the hinge loss of waveforms ``[B, T]``; returns the loss."""
        self.network.requires_grad_(True)
        logits, _ = self._judge(real, made.detach())
        n = len(real)
        loss = torch.stack([F.relu(1 - one[:n]).mean() + F.relu(1 + one[n:]).mean() for one in logits]).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def terms(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """What the codec pays: ``adversarial`` (hinge) and ``features`` (relative distance of the layers)."""
        self.network.requires_grad_(False)
        with torch.no_grad():
            _, features_real = self._judge(real)
        logits, features_made = self._judge(made)
        pairs = [
            (r, m)
            for scale_r, scale_m in zip(features_real, features_made, strict=True)
            for r, m in zip(scale_r, scale_m, strict=True)
        ]
        return {
            "adversarial": torch.stack([F.relu(1 - m).mean() for m in logits]).mean(),
            "features": torch.stack(
                [
                    (r - m).abs().mean(dtype=torch.float32) / r.abs().mean(dtype=torch.float32)
                    for r, m in pairs
                ]
            ).mean(),
        }

    def training_state(self) -> dict[str, Any]:
        """Weights and optimiser, for a resumable run."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`training_state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
