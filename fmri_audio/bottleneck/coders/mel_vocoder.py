"""Log-mel spectrogram behind a nested code, back to sound by a neural vocoder, through which it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from torch import Tensor

from fmri_audio.bottleneck.coders.base import registered
from fmri_audio.bottleneck.coders.losses import SoundLoss
from fmri_audio.bottleneck.coders.mel import MelCode
from fmri_audio.representations.mel_vocoder import MelVocoder, open_vocoder

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint


@registered
class MelVocoderCoder(MelCode):
    """Log-mel spectrogram and the mel vocoder; the loss hears the vocoder's sound too."""

    name = "mel-vocoder"
    label = "mel + neural vocoder"
    place = 11
    representation = "mel-vocoder"
    untrained = ("vocoder.", "sound_loss.")

    def __init__(self, mel: MelVocoder) -> None:
        super().__init__(mel)
        self.vocoder = mel.vocoder.network
        self.sound_loss = SoundLoss(self.sample_rate)

    @classmethod
    def build(cls, checkpoint: Checkpoint) -> Self:
        """Make one with the trained vocoder of ``checkpoints/``."""
        return cls(MelVocoder(open_vocoder()))

    def shared(self) -> tuple[object, ...]:
        """The vocoder, twice."""
        return (self.mel, self.vocoder)

    def loss(self, restored: Tensor, features: Tensor, waveform: Tensor) -> Tensor:
        """The spectrogram's distance, and that of the vocoder's sound."""
        made: Tensor = self.vocoder(self._centred(restored))[:, None]
        heard: Tensor = self.sound_loss(made, waveform)
        return super().loss(restored, features, waveform) + heard
