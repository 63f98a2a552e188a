"""Answers to the note's four questions, in sentences that follow the verdicts in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fmri_audio.claim_functions import Case
from fmri_audio.claims import DEPENDS, FAILS, HOLDS, Verdict, number, whose

QUESTIONS = {
    "proceed": "Should we proceed with EnCodec testing?",
    "finetune": "Preference for Option A (freeze EnCodec) or Option B (fine-tune)?",
    "metrics": "Which quality metrics are most important?",
    "complex": "Should we also test Complex FFT as comparison?",
}
"""The note's questions, by the names of their answers."""


def answers(verdicts: Iterable[Verdict], brains: str) -> dict[str, str]:
    """Answer the note's questions.

    Parameters
    ----------
    verdicts
        On all claims (``claims.evaluate``).
    brains
        What the edition's brains are, simulated or measured, as it is said wherever they enter.

    Returns
    -------
    dict
        An answer for each of :data:`QUESTIONS`, which begins with yes, no or what stands between.
    """
    of = {one.claim.id: one for one in verdicts}
    return {
        "proceed": _proceed(of, brains),
        "finetune": _finetune(of, brains),
        "metrics": _metrics(of),
        "complex": _complex(of),
    }


def _proceed(of: Mapping[str, Verdict], brains: str) -> str:
    codec, bits = of["codec-intelligible"], of["beats-mel-at-equal-bits"]
    start = _by(of["question-proceed"], "Yes, as far as the codec goes", "No", "In part", "Not decided here")
    text = f"{start}: speech that EnCodec has coded at 6 kbps "
    text += _by(codec, "is intelligible", "is not intelligible", "is intelligible at times", "was not tested")
    more = _by(bits, "more so than", "no more so than", "sometimes more so than", "not yet compared with")
    text += f"{_numbers(codec, 'STOI')}, and it is {more} a mel spectrogram of the same bits"
    text += f"{_numbers(bits, 'a difference in STOI of')}. "
    return text + _gates(of) + _promise(of, brains)


def _gates(of: Mapping[str, Verdict]) -> str:
    said = ("is met", "is met at no bandwidth", "is met at some bandwidths only", "was not tested")
    gates = {"snr-gate": "an SNR above 20 dB", "pesq-gate": "a PESQ above 3"}
    return f"Of the note's gates, {' and '.join(f'{gate} {_by(of[name], *said)}' for name, gate in gates.items())}. "


def _promise(of: Mapping[str, Verdict], brains: str) -> str:
    """Say what passes the bottleneck, and what is decoded from brains; whose brains always stands beside."""
    free, decoded = of["bottleneck-intelligible"], of["brains-intelligible"]
    inside = f"Behind the bottleneck, without noise or brains, sound {_heard(free)}"
    return f"{inside}; decoded from {brains} it {_heard(decoded)}."


def _heard(verdict: Verdict) -> str:
    """Say whether sound is intelligible, or that nothing follows yet from the numbers so far."""
    said = _by(verdict, "is intelligible", "is not intelligible", "is intelligible in part", "has no verdict")
    if verdict.outcome or not verdict.beside:
        return f"{said}{_numbers(verdict, 'STOI')}"
    return f"{said} ({verdict.why}; STOI so far {_span(verdict.beside)}, weights: {whose(verdict.beside)})"


def _finetune(of: Mapping[str, Verdict], brains: str) -> str:
    question, better, closer = of["question-finetune"], of["finetuned-is-better"], of["finetuned-is-closer"]
    if not question.outcome:
        why = better.why or question.why
        return f"No preference can be given here: {why}. An arm that has not converged gets no verdict."
    start = _by(question, "Fine-tune", "Freeze", "It depends")
    text = f"{start}: without noise, fine-tuning changes the STOI of held-out speech{_numbers(better, 'by')}"
    text += f" and its mel distance{_numbers(closer, 'by', ' dB')}"
    decoded = of["finetuned-from-brains"]
    if not decoded.outcome:
        return f"{text}."
    word = _by(decoded, "keeps that advantage", "has no advantage", "has an advantage for some subjects only")
    return f"{text}; decoded from {brains} it {word}{_numbers(decoded, 'a difference in STOI of')}."


def _metrics(of: Mapping[str, Verdict]) -> str:
    cases = of["question-metrics"].cases
    if not cases:
        return f"Not decided here: {of['question-metrics'].why}."
    good, bad = (
        [case.label for case in cases if (case.value == "yes") is is_good] for is_good in (True, False)
    )
    text = "Those that tell intelligible sound from silence, noise and other speech"
    text += f": {_and(good)}" if good else ": none of those taken here"
    text += f"; not {_and(bad)}, which put a floor above an intelligible mel spectrogram" if bad else ""
    return f"{text}. None replaces listening; who compares by ear can do so in the book."


def _complex(of: Mapping[str, Verdict]) -> str:
    arm, exact, size = of["complex-arm"], of["perfect-reconstruction"], of["complex-memory"]
    inverse = _by(exact, "is exact", "is not exact", "is exact at times")
    known = (
        f"its inverse {inverse}{_numbers(exact, 'SNR', ' dB')}, and it takes {_span(size.cases)} times the values "
        "of EnCodec's latents and of a mel spectrogram"
    )
    if not arm.outcome:
        return f"Not decided here: no complex arm has passed the bottleneck in this edition. What is known: {known}."
    start = _by(
        arm, "Yes: it does better behind the same bottleneck", "As a comparison only: behind the same bottleneck "
        "it does no better", "Perhaps: it does better behind some bottlenecks",
    )  # fmt: skip
    return f"{start}{_numbers(arm, 'a difference in STOI of')}; {known}."


def _by(verdict: Verdict, holds: str, fails: str, depends: str, untested: str = "not tested") -> str:
    """Return the wording that an outcome decides."""
    return {HOLDS: holds, FAILS: fails, DEPENDS: depends}.get(verdict.outcome, untested)


def _numbers(verdict: Verdict, what: str, unit: str = "") -> str:
    """Return a verdict's numbers in brackets, with whose weights made them; nothing where there are none."""
    span, names = _span(verdict.cases), whose(verdict.cases)
    return f" ({what} {span}{unit}{f'; weights: {names}' if names else ''})" if span else ""


def _span(cases: Iterable[Case]) -> str:
    """Return the range of cases' numbers; empty where there are none."""
    values = [case.value for case in cases if not isinstance(case.value, str)]
    if not values:
        return ""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
