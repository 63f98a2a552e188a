"""An edition opened: what is asked for, where it is stored, what is computed once."""

from fmri_audio.edition.edition import Edition

__all__ = ["Edition"]
