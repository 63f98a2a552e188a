"""Answers to the note's four questions, in sentences that follow the verdicts in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fmri_audio.base.words import joined
from fmri_audio.claims.claims import DEPENDS, FAILS, HOLDS, UNDECIDED, Verdict, number, whose
from fmri_audio.claims.functions.registry import Case
from fmri_audio.experiments.ladder import CONDITIONS
from fmri_audio.sound.scoring import LABELS

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
        "complex": _complex(of, brains),
    }


def _proceed(of: Mapping[str, Verdict], brains: str) -> str:
    codec, bits = of["codec-intelligible"], of["beats-mel-at-equal-bits"]
    start = _by(of["question-proceed"], "Yes, as far as the codec goes", "No", "In part", "Not decided here")
    text = f"{start}: speech that EnCodec has coded at 6 kbps "
    text += _by(codec, "is intelligible", "is not intelligible", "is intelligible at times", "was not tested")
    more = _by(
        bits,
        "more so than",
        "no more so than",
        "sometimes more so than",
        "not yet compared with",
        "within its interval as intelligible as",
    )
    text += f"{_numbers(codec, 'STOI')}, and it is {more} a mel spectrogram of the same bits"
    text += f"{_numbers(bits, 'a difference in words lost of')}. "
    return text + _gates(of) + _promise(of, brains) + _beside_the_old(of, brains)


def _beside_the_old(of: Mapping[str, Verdict], brains: str) -> str:
    """Say how the old pipeline fares in the same place."""
    free, decoded = of["beats-mel-behind-the-bottleneck"], of["beats-mel-from-brains"]
    if not free.outcome:
        return ""
    said = ("is more intelligible than", "is no more intelligible than", "is in part more intelligible than")
    apart = _numbers(free, "a difference in words lost of")
    text = f" There, without noise or brains, it {_by(free, *said)} mel and Griffin-Lim{apart}"
    if decoded.outcome:
        near = _by(
            decoded, "nearer to the original", "no nearer to the original", "nearer to the original for some"
        )
        apart = _numbers(decoded, "a difference in mel distance, which favours mel, of", " dB")
        text += f", and decoded from {brains} it is {near}{apart}"
    return f"{text}."


def _gates(of: Mapping[str, Verdict]) -> str:
    said = ("is met", "is met at no bandwidth", "is met at some bandwidths only", "was not tested")
    gates = {"snr-gate": "an SNR above 20 dB", "pesq-gate": "a PESQ above 3"}
    told = []
    for name, gate in gates.items():
        names = whose(of[name].cases)
        told.append(f"{gate} {_by(of[name], *said)}{f' (weights: {names})' if names else ''}")
    return f"Of the note's gates, {' and '.join(told)}. "


def _promise(of: Mapping[str, Verdict], brains: str) -> str:
    """Say what passes the bottleneck, and what is decoded from the simulated brains of the ladder."""
    free, decoded = of["bottleneck-intelligible"], of["brains-intelligible"]
    inside = f"Behind the bottleneck, without noise or brains, sound {_heard(free)}"
    return f"{inside}; decoded from simulated brains it {_heard(decoded)}."


def _heard(verdict: Verdict) -> str:
    """Say whether sound is intelligible, or that nothing follows yet from the numbers so far."""
    said = _by(verdict, "is intelligible", "is not intelligible", "is intelligible in part", "has no verdict")
    if verdict.outcome or not verdict.beside:
        return f"{said}{_numbers(verdict, 'share of words lost')}"
    so_far = f"share of words lost so far {_span(verdict.beside)}, weights: {whose(verdict.beside)}"
    return f"{said} ({verdict.why}; {so_far})"


def _finetune(of: Mapping[str, Verdict], brains: str) -> str:
    question, better, closer = of["question-finetune"], of["finetuned-is-better"], of["finetuned-is-closer"]
    if not question.outcome:
        why = better.why or question.why
        return f"No preference can be given here: {why}. An arm whose training was not over gets no verdict."
    start = _by(question, "Fine-tune", "Freeze", "It depends")
    text = f"{start}: without noise, fine-tuning changes the share of words lost{_numbers(better, 'by')}"
    text += f" and ESTOI{_numbers(closer, 'by')}"
    decoded = of["finetuned-from-brains"]
    if not decoded.outcome:
        return f"{text}."
    nearer = of["finetuned-is-closer-from-brains"]
    said = ("has an advantage", "has no advantage", "has no advantage that the seeds agree on")
    text += f"; decoded from {brains} it {_by(decoded, *said)} in STOI{_numbers(decoded, 'a difference of')}"
    return f"{text} and {_by(nearer, *said)} in mel distance{_numbers(nearer, 'a difference of', ' dB')}."


def _metrics(of: Mapping[str, Verdict]) -> str:
    cases = of["question-metrics"].cases
    if not cases:
        return f"Not decided here: {of['question-metrics'].why}."
    alike: dict[str, list[str]] = {}
    for case in (one for one in cases if one.basis != CONDITIONS):
        alike.setdefault(str(case.value), []).append(case.label)
    good = alike.pop("yes", [])
    text = "Those that tell intelligible sound from silence, noise, other speech and what a decoder makes without a "
    text += f"brain: {joined(good)}" if good else "brain: none of those taken here"
    for said, names in alike.items():
        text += f". Not {joined(names)}, by which an intelligible mel spectrogram {said}"
    if LABELS["mel_distance_db"] in good:
        text += ". Between arms the mel distance favours those that carry mel spectrograms, because it compares these"
    for case in (one for one in cases if one.basis == CONDITIONS):
        text += f". Beside words, {case.label} {'tells them' if case.value == 'yes' else case.value}"
    return f"{text}. None replaces listening; who compares by ear can do so in the book."


def _complex(of: Mapping[str, Verdict], brains: str) -> str:
    arm, exact, size = of["complex-arm"], of["perfect-reconstruction"], of["complex-memory"]
    question, closer, decoded = (
        of["question-complex"],
        of["complex-arm-is-closer"],
        of["complex-arm-from-brains"],
    )
    inverse = _by(exact, "is exact", "is not exact", "is exact at times")
    known = (
        f"its inverse {inverse}{_numbers(exact, 'SNR', ' dB')}, and it takes {_span(size.cases)} times the values "
        "of EnCodec's latents and of a mel spectrogram"
    )
    if not question.outcome:
        why = question.why or arm.why
        return f"Not decided here: {why}. What is known: {known}."
    start = _by(question, "Yes", "As a comparison only", "It depends")
    better = _by(
        arm, "it is more intelligible", "it is no more intelligible", "it is more intelligible at times"
    )
    near = _by(
        closer, "nearer to the original", "no nearer to the original", "nearer to the original at times"
    )
    text = f"{start}: behind the same bottleneck, without noise, {better} than the frozen codec"
    text += f"{_numbers(arm, 'a difference in words lost of')} and {near}{_numbers(closer, 'a difference in ESTOI of')}"
    if decoded.outcome:
        there = _by(
            decoded, "nearer to the original", "no nearer to the original", "nearer for some subjects only"
        )
        text += f"; decoded from {brains} it is {there}{_numbers(decoded, 'a difference in mel distance of', ' dB')}"
    return f"{text}; {known}."


def _by(
    verdict: Verdict,
    holds: str,
    fails: str,
    depends: str,
    untested: str = "not tested",
    undecided: str = "is undecided within its interval",
) -> str:
    """Return the wording that an outcome decides."""
    said = {HOLDS: holds, FAILS: fails, DEPENDS: depends, UNDECIDED: undecided}
    return said.get(verdict.outcome, untested)


def _numbers(verdict: Verdict, what: str, unit: str = "") -> str:
    """Return a verdict's numbers in brackets, what there is without a brain, and whose weights; or nothing."""
    span, names, without = _span(verdict.cases), whose(verdict.cases), _span(verdict.without)
    if not span:
        return ""
    already = f", where without any brain it is {without}{unit} already" if without else ""
    return f" ({what} {span}{unit}{already}{f'; weights: {names}' if names else ''})"


def _span(cases: Iterable[Case]) -> str:
    """Return the range of cases' numbers; empty where there are none."""
    values = [case.value for case in cases if not isinstance(case.value, str)]
    if not values:
        return ""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"
