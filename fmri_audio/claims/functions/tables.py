"""What the edition's own results say."""

from __future__ import annotations

from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.claims.functions.registry import YES, Tables, Value, registered_on_tables


@registered_on_tables
def arms_converged(tables: Tables) -> dict[str, Value]:
    """Say for frozen and fine-tuned whether training was over; an arm that has not converged gets no verdict."""
    return _converged(tables, "frozen", "finetuned")


@registered_on_tables
def mel_arm_converged(tables: Tables) -> dict[str, Value]:
    """Say it for the old pipeline."""
    return _converged(tables, "mel")


@registered_on_tables
def complex_arm_converged(tables: Tables) -> dict[str, Value]:
    """Say it for the complex STFT."""
    return _converged(tables, "complex-stft")


def _converged(tables: Tables, *arms: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for arm in arms:
        unfinished = tables.training.get(f"{arm}_unfinished")
        unsaid = "chapter 13 does not say whether it converged"
        said = YES if unfinished == 0 else str(tables.training.get(f"{arm}_verdict", unsaid))
        found[f"the {ARM_LABELS[arm]} arm"] = unsaid if unfinished is None else said
    return found
