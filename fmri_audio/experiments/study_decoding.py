"""``fmri-audio study decode``: what held-out runs of any study give, for one target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.decoding import series
from fmri_audio.decoding.series import Pipeline, Score
from fmri_audio.experiments.real_brains import SHIFT_GAP_SECONDS, recorded
from fmri_audio.study.annotated import LABELS, Target
from fmri_audio.study.facts import Subject, listed
from fmri_audio.study.reader import Study


@dataclass(frozen=True)
class StudyDecoded:
    """What one target gives.

    Attributes
    ----------
    study : str
    target : {"level", "words"}
    subjects : list
    runs : list of str
    fixed_on : list
        Those of the subjects on whom the pipeline was chosen.
    score : Score
    """

    study: str
    target: Target
    subjects: list[Subject]
    runs: list[str]
    fixed_on: list[Subject]
    score: Score

    def as_json(self) -> dict[str, Any]:
        """One object: ``r`` per subject, ``mean``, intervals, null, ``p`` and ``effective_shifts``."""
        each, null = self.score.per_subject_run, self.score.null
        return {
            "study": self.study,
            "target": self.target,
            "runs": self.runs,
            "r": {str(s): round(float(r), 4) for s, r in zip(self.subjects, each.mean(axis=1), strict=True)},
            "mean": round(self.score.mean, 4),
            "interval_runs": _rounded(series.interval(each.mean(axis=0))),
            "interval_subjects": _rounded(series.interval(each.mean(axis=1))) if len(each) > 1 else None,
            "null": {
                "mean": round(float(null.mean()), 4),
                "spread": round(float(null.std()), 4),
                "high": round(float(np.quantile(null, 0.95)), 4),
            },
            "shifts": len(null),
            "effective_shifts": round(self.score.effective_shifts, 1),
            "p": round(self.score.p or 0.0, 4),
            "r_tested": round(float(self.score.anew[0]), 4) if self.score.anew is not None else None,
            "fixed_on": [str(s) for s in self.fixed_on],
        }

    def lines(self) -> list[str]:
        """The same for a reader."""
        said = self.as_json()
        text = [f"{self.study}: {LABELS[self.target]} per TR, {len(self.runs)} runs, each held out once"]
        text += [f"  subject {subject:6} r = {r:.3f}" for subject, r in said["r"].items()]
        low, high = said["interval_runs"]
        over = f"{low:.3f} to {high:.3f} over runs"
        if said["interval_subjects"]:
            over += ", {:.3f} to {:.3f} over subjects".format(*said["interval_subjects"])
        null = said["null"]
        text.append(f"  mean r = {said['mean']:.3f} ({over})")
        text.append(
            f"  chance: {null['mean']:.3f}, spread {null['spread']:.3f}, 95 % below {null['high']:.3f} "
            f"({said['shifts']} circular shifts)"
        )
        text.append(
            f"  p = {said['p']:.4f}, of decoders fitted anew under every shift, which read every column and have "
            f"r = {said['r_tested']:.3f}; the shifts are worth {said['effective_shifts']:.0f} independent ones"
        )
        if self.fixed_on:
            text.append(f"  the pipeline was chosen on {listed(self.fixed_on)}: theirs is no test of it")
        return text


def decode_study(
    study: Study,
    target: Target,
    pipeline: Pipeline,
    subjects: Sequence[str] | None = None,
    mask: str | None = None,
) -> StudyDecoded:
    """Decode one target from every subject of a study, every run held out once.

    Runs that the pipeline names and the study does not have are no matter here: all runs of the study are used then.

    Raises
    ------
    UserError
        There is one run only, a subject is not there, or nothing says what was heard.
    """
    known = {str(subject): subject for subject in study.subjects}
    wanted = [known.get(str(name), name) for name in subjects] if subjects else study.subjects
    if lacking := [name for name in wanted if name not in study.subjects]:
        raise UserError(f"{study.folder}: there is no subject {lacking[0]}; it has {listed(study.subjects)}")
    names = [run.name for run in study.runs]
    if pipeline.runs is not None and not set(pipeline.runs) <= set(names):
        pipeline = pipeline.model_copy(update={"runs": None, "fixed_on": []})
    what = recorded(study, pipeline, [target], wanted, mask)
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    true = what.heard[target]
    if not true.std() > 0:
        raise UserError(f"{study.folder}: the {LABELS[target]} does not vary; there is nothing to decode")
    predicted = [series.decode(what.bold[one], true, splits, pipeline, what.tr, what.shift) for one in wanted]
    gap = round(SHIFT_GAP_SECONDS / float(what.tr))
    several = series.readers([what.bold[one] for one in wanted], splits, pipeline, what.tr, what.shift)
    anew = series.fitted_anew(several, true, what.runs, gap)
    found = series.score(predicted, true, [split.test_block for split in splits], gap, anew=anew)
    own = [one for one in wanted if one in pipeline.fixed_on]
    return StudyDecoded(study.name, target, list(wanted), what.names, own, found)


def _rounded(pair: tuple[float, float]) -> list[float]:
    return [round(value, 4) for value in pair]
