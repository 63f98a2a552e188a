"""What users of giblet-responses call, on the exact grid of TRs: a drop-in for its sound, its cache and its items.

The project (github.com/jeremymanning/giblet-responses) is the one whose research note this paper answers. Names,
arguments and the order of numbers are its own. Three things differ, because they were wrong:

- a TR of 1.5 s is 112.5 frames of the codec, so every TR has all 113 frames that it touches, and two neighbours share
  the frame between them. Rows of 112 frames, put end to end, are 6.1 s short after 920 TRs.
- a bandwidth has the codebooks that the codec has for it: 4 at 3 kbps, and not 8 of which four are zeros.
- codes are refused where numbers are averaged or regressed on: they are names.
"""

from fmri_audio.compat.cache import read_cache
from fmri_audio.compat.codes import refuse_regression
from fmri_audio.compat.dataset import AudioFmriDataset, Item
from fmri_audio.compat.processor import AudioProcessor

__all__ = ["AudioFmriDataset", "AudioProcessor", "Item", "read_cache", "refuse_regression"]
