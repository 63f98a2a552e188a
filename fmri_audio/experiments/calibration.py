"""Calibration: whether the decoding rejects as often as it says, and recovers what can be recovered.

``make calibrate`` simulates brains many times over, each time to another excerpt of the embedded play. They go, in
memory, through the pipeline that the book uses: every block is cleaned on its own, every TR is held out once, and
segments are identified by ridge regression that is fitted anew under every joint circular shift.

Excerpts differ because any one sound agrees by accident with what brains and scanner have in common, a little
better or a little worse than not at all. Over studies of one excerpt that accident never averages out, however many
there are; over excerpts it does. ``null-one-excerpt`` shows its size.

What depends on how a region's response is spread over its voxels is computed for all three models of a voxel.

``null``, ``null-shared``
    Brains that do not hear the sound; in the second they share a response to something else. The share of
    repetitions with p ≤ .05 is the rate of false alarms. With 3 subjects for every model of a voxel, and with 17.
``null-one-excerpt``
    As ``null``, but all studies hear the opening of the play: whether the rate holds for one sound too.
``matched``
    Brains matched to the regions of real ones: how often so small a study finds them.
``strong``
    Brains that follow the sound closely. The response that all subjects share, which the simulation knows, should
    correlate with each subject's BOLD as much as is attainable; ridge regression from the true features should come
    near that on held-out volumes, and nothing should exceed it.
``leaky``
    A pipeline that filters and standardises over everything. The test that perturbs held-out volumes must notice.

The table carries the hash of the code, the sound and the weights that made it. It has no column that a second run on
the same machine with the same seed could change.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, t

from fmri_audio.base import command, timeline
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, sha256_of
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.kinds import Matrix
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import FAMILIES, VOXELS, Variant, Voxels, load_settings, project_root
from fmri_audio.brain import agreement, cleaning
from fmri_audio.decoding import regression
from fmri_audio.decoding.identification import Identified, Refitted, SoundFacts, Trial, trials
from fmri_audio.decoding.leakage import Built, perturbation_report
from fmri_audio.decoding.turning import Reader
from fmri_audio.simulation.brains import Simulation, plan_simulation, simulate_bold
from fmri_audio.simulation.grid import Grid
from fmri_audio.sound.acoustics import FEATURE_RATE, Features, acoustic_features
from fmri_audio.study import stimulus
from fmri_audio.study.facts import Run
from fmri_audio.study.splits import Split, k_fold
from fmri_audio.study.stimulus import Stimulus

TR = Fraction(3, 2)
N_TRS, N_SUBJECTS, N_FOLDS, SEGMENT_TRS = 240, 3, 4, 4
#: The left temporal lobe: few voxels, so that many repetitions are cheap.
SHAPE = (16, 14, 14)
#: As many as six minutes have; of longer scans so many are taken, spread evenly.
MOST_SHIFTS = 215
LAGS, SHIFT, GAP, CV_FOLDS = (2, 3, 4, 5), 3, 12, 4
ALPHA, CONFIDENCE = 0.05, 0.99
FEWEST_REPETITIONS = 500
TOGETHER = "all"
"""Name of all models of a voxel together."""
#: The upper limit of the rate of false alarms over all models of a voxel stays below this.
MOST_ALARMS = 0.07
STRONG_REPETITIONS, MATCHED_REPETITIONS = 40, 200
#: As many as the Sherlock release has.
MANY_SUBJECTS = 17
#: The stream of random numbers that draws excerpts; brains have streams of their own.
_EXCERPT = 0

TABLE = Path("results") / "calibration.csv"
#: How the expectation of a single excerpt begins.
TURNED = f"among {CONFIDENCE:.0%} of the same sound turned round "


@dataclass(frozen=True)
class CalibrationRow:
    """One figure: ``value`` with its 99 % interval, over ``n`` repetitions, and what was expected of it.

    ``holds`` is empty where nothing was. ``voxels`` is the model of a voxel, or ``all`` of them together.
    """

    variant: str
    quantity: str
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    expected: str
    holds: bool | None
    seed: int
    made_by: str
    voxels: str = "between"
    subjects: int = 3


@dataclass(frozen=True)
class Heard:
    """What a study hears and what is decoded from it.

    Attributes
    ----------
    acoustic : Features
        What simulated voxels follow.
    decoded : array, shape [TRs, channels]
        The codec's latents, averaged over each TR: what ridge predicts and segments are identified by.
    facts : SoundFacts
        What distractors are matched by.
    """

    acoustic: Features
    decoded: Matrix
    facts: SoundFacts

    @classmethod
    def of(cls, heard: Stimulus) -> Heard:
        """Prepare a sound."""
        return cls(
            acoustic_features(heard.waveform, heard.sample_rate),
            pooled_latents(heard.waveform, heard.n_trs),
            SoundFacts.of(heard.waveform, heard.sample_rate, TR, heard.segments),
        )

    @property
    def n_trs(self) -> int:
        """How long it is."""
        return len(self.decoded)

    def excerpt(self, first_tr: int, n_trs: int) -> Heard:
        """Cut TRs out of it. Latents remember what came before, as the codec does."""
        frames = slice(*(int(k * TR * FEATURE_RATE) for k in (first_tr, first_tr + n_trs)))
        rows = slice(first_tr, first_tr + n_trs)
        return Heard(
            replace(self.acoustic, values=self.acoustic.values[:, frames]),
            self.decoded[rows],
            SoundFacts(self.facts.kind[rows], self.facts.level_db[rows]),
        )

    def drawn_excerpt(self, n_trs: int, seed: int) -> Heard:
        """The excerpt that the study of a seed hears: every start is as likely as any other."""
        drawn = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_EXCERPT,)))
        return self.excerpt(int(drawn.integers(self.n_trs - n_trs + 1)), n_trs)

    @property
    def runs(self) -> list[tuple[int, int]]:
        """One scan: from the first TR to the last."""
        return [(0, self.n_trs)]

    @property
    def splits(self) -> list[Split]:
        """Every TR held out once."""
        return k_fold(self.runs, N_FOLDS, gap=GAP, lags=LAGS, shift=SHIFT, tr=TR)

    def layout(self, matched: bool = True) -> list[Trial]:
        """Segments of every fold; distractors of the same kind and loudness if ``matched``."""
        blocks = [split.test_block for split in self.splits]
        return trials(
            blocks,
            self.runs,
            n_trs=SEGMENT_TRS,
            gap=GAP,
            facts=self.facts if matched else None,
            most_shifts=MOST_SHIFTS,
        )

    def simulate(
        self, variant: Variant, seed: int, voxels: Voxels = "between", shape: tuple[int, int, int] = SHAPE
    ) -> Simulation:
        """Plan one study."""
        return plan_simulation(
            self.acoustic,
            Grid.of_shape(shape),
            [Run(name="1", first_tr=0, n_trs=self.n_trs)],
            TR,
            seed=seed,
            families=FAMILIES,
            variant=variant,
            voxels=voxels,
        )


def whole_play() -> Stimulus:
    """The embedded play, its parts joined."""
    return stimulus.prepare(load_settings("demo", {"stimulus": {"first_tr": 0, "n_trs": None}}))


def opening_of_the_play() -> Stimulus:
    """The first six minutes of the embedded play."""
    return stimulus.prepare(load_settings("demo", {"stimulus": {"first_tr": 0, "n_trs": N_TRS}}))


def pooled_latents(waveform: Matrix, n_trs: int) -> Matrix:
    """Latents of the demo codec, averaged over each TR, [TRs, channels]."""
    import torch

    from fmri_audio.codec import checkpoints
    from fmri_audio.representations.encodec import EncodecLatents

    codec = EncodecLatents(checkpoints.load("demo"))
    with torch.inference_mode():
        latents = codec.analyse(torch.from_numpy(waveform)[None, None])[0].numpy()
    return timeline.pooled(latents, n_trs, TR, codec.feature_rate)


def cleaned(bold: Matrix, split: Split) -> Matrix:
    """BOLD as the book prepares it for a split."""
    return regression.cleaned_for(bold, split, TR)


def read_subjects(
    sound: Heard,
    variant: Variant,
    seed: int,
    n_subjects: int,
    voxels: Voxels = "between",
    shape: tuple[int, int, int] = SHAPE,
) -> list[Reader]:
    """One study: how every subject's brain reads whatever was heard."""
    simulation, splits = sound.simulate(variant, seed, voxels, shape), sound.splits
    return [
        Reader.of(partial(cleaned, simulate_bold(simulation, subject)), splits, lags=LAGS, shift=SHIFT)
        for subject in range(1, n_subjects + 1)
    ]


def read_all(sound: Heard, readers: Sequence[Reader]) -> Refitted:
    """A sound's segments, read by decoders that are fitted anew under every shift."""
    layout = sound.layout(matched=False)
    return Refitted.of(readers, sound.decoded, sound.runs, layout, n_trs=SEGMENT_TRS)


def identify_once(
    sound: Heard, variant: Variant, seed: int, voxels: Voxels = "between", n_subjects: int = N_SUBJECTS
) -> Identified:
    """One study of a sound, decoded and identified."""
    readers = read_subjects(sound, variant, seed, n_subjects, voxels)
    return read_all(sound, readers).identify(sound.layout())


def identify_drawn(
    play: Heard, variant: Variant, seed: int, voxels: Voxels = "between", n_subjects: int = N_SUBJECTS
) -> Identified:
    """One study of the excerpt that belongs to its seed."""
    return identify_once(play.drawn_excerpt(N_TRS, seed), variant, seed, voxels, n_subjects)


def recover_once(sound: Heard, seed: int) -> tuple[float, float, float]:
    """One repetition of the strong study: correlations with BOLD, mean over voxels and subjects.

    Returns
    -------
    attainable, known, ridge : float
        What a perfect model of the shared response reaches by the simulation's account; what the shared response
        itself reaches; what ridge regression from the true features reaches on held-out volumes.
    """
    simulation = sound.simulate("strong", seed)
    rows = []
    for subject in range(1, N_SUBJECTS + 1):
        bold = simulate_bold(simulation, subject)
        attainable = simulation.attainable(simulation.subject(subject))[0]
        known = agreement.correlate(simulation.sound.shared, cleaning.clean_blocks(bold, sound.runs, TR))
        ridge = [_encoded(simulation.sound.design, cleaned(bold, split), split) for split in sound.splits]
        rows.append((attainable.mean(), known.mean(), float(np.mean(ridge))))
    return tuple(np.mean(rows, axis=0).tolist())  # type: ignore[return-value]


def _encoded(design: NDArray[np.float64], bold: Matrix, split: Split) -> float:
    """Held-out correlation of ridge from true features with BOLD, both filtered alike."""
    features = cleaned(np.asarray(design, np.float32), split)
    first, last = split.bold_test
    train = split.bold_train_rows
    ridge = regression.fit_ridge(features[train], bold[train], train, n_folds=CV_FOLDS, gap=GAP)
    return regression.prediction_correlation(ridge.predict(features[first:last]), bold[first:last])


def exact_interval(hits: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of a binomial rate by Clopper and Pearson (1934)."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def mean_interval(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's interval of the mean of independent repetitions."""
    half = float(t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def rejections(
    variant: str,
    found: Sequence[Identified],
    expected_rate: bool,
    seed: int,
    made_by: str,
    voxels: str = "between",
) -> list[CalibrationRow]:
    """How often p ≤ .05, and how often segments were identified."""
    hits, n = sum(one.p <= ALPHA for one in found), len(found)
    low, high = exact_interval(hits, n)
    accuracy = np.array([one.accuracy for one in found])
    bounds = mean_interval(accuracy)
    rows = (
        (
            "rejection_rate",
            (hits / n, low, high),
            f"the interval holds {ALPHA:g}" if expected_rate else f"above {ALPHA:g}",
            low <= ALPHA <= high if expected_rate else low > ALPHA,
        ),
        (
            "pairwise_identification",
            (float(accuracy.mean()), *bounds),
            "the interval holds .5" if expected_rate else "above .5",
            bounds[0] <= 0.5 <= bounds[1] if expected_rate else bounds[0] > 0.5,
        ),
    )
    subjects = len(found[0].per_subject)
    return [
        CalibrationRow(variant, name, *value, n, expected, holds, seed, made_by, voxels, subjects)
        for name, value, expected, holds in rows
    ]


def at_most(variant: str, found: Sequence[Identified], seed: int, made_by: str) -> list[CalibrationRow]:
    """Whether the rate of false alarms over all models of a voxel stays below a limit, as it has to on real noise."""
    hits, n = sum(one.p <= ALPHA for one in found), len(found)
    low, high = exact_interval(hits, n)
    expected = f"the upper limit is at most {MOST_ALARMS:g}"
    row = CalibrationRow(
        variant,
        "rejection_rate",
        hits / n,
        low,
        high,
        n,
        expected,
        high <= MOST_ALARMS,
        seed,
        made_by,
        TOGETHER,
    )
    return [row]


def one_excerpt(found: Sequence[Identified], seed: int, made_by: str) -> list[CalibrationRow]:
    """Whether the rate of false alarms holds for one sound, and what its accident is worth.

    The accident is by how much segments are identified better than with the same sound turned round, mean over studies.
    It may differ from 0, as turned-round sounds do from one another; the rate may not differ from what is stated.
    """
    [rate, _] = rejections("null-one-excerpt", found, True, seed, made_by)
    accuracy = np.stack([one.per_subject.mean(axis=0) for one in found])
    accuracy = accuracy[:, np.isfinite(accuracy).all(axis=0)]
    by_shift = accuracy.mean(axis=0)
    low, high = np.quantile(by_shift[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    beside = CalibrationRow(
        "null-one-excerpt",
        "pairwise_identification",
        float(by_shift[0]),
        None,
        None,
        len(found),
        f"{TURNED}({low:.3f} to {high:.3f})",
        bool(low <= by_shift[0] <= high),
        seed,
        made_by,
        subjects=len(found[0].per_subject),
    )
    return [rate, beside]


def recovery(rows: Sequence[tuple[float, float, float]], seed: int, made_by: str) -> list[CalibrationRow]:
    """How near the attainable correlation the known response and ridge regression come."""
    attainable, known, ridge = np.array(rows).T
    n = len(rows)
    scale = float(attainable.mean())
    made = [
        CalibrationRow(
            "strong", "attainable_correlation", scale, None, None, n, "for scale", None, seed, made_by
        )
    ]
    for name, values, least in (("known_response", known, 1.0), ("ridge_on_true_features", ridge, 0.8)):
        low, high = mean_interval(values / attainable)
        reaches = high >= least if least == 1.0 else low >= least
        made.append(
            CalibrationRow(
                "strong",
                f"{name}_share_of_attainable",
                float((values / attainable).mean()),
                low,
                high,
                n,
                f"at least {least:g} within the interval, and not significantly above 1",
                reaches and low <= 1.0,
                seed,
                made_by,
            )
        )
    return made


def leaks(seed: int, made_by: str) -> list[CalibrationRow]:
    """Whether perturbing the held-out block clears the book's pipeline and betrays a leaky one."""
    heard = opening_of_the_play()
    sound = Heard.of(heard)
    simulation = sound.simulate("strong", seed)
    brains = {subject: simulate_bold(simulation, subject) for subject in range(1, N_SUBJECTS + 1)}
    rows, known = [], {heard.waveform.tobytes(): sound.decoded}
    for name, prepare, expected in (("pipeline", cleaned, 0), ("leaky_pipeline", _leaky, 1)):
        report = perturbation_report(
            partial(_built, prepare, sound.splits[-1], known),
            heard.waveform,
            brains,
            sound.splits[-1],
            sample_rate=heard.sample_rate,
            tr=TR,
            shift=SHIFT,
            seed=seed,
        )
        found = int(not report.clean)
        rows.append(
            CalibrationRow(
                "leaky",
                f"{name}_flagged",
                float(found),
                None,
                None,
                len(report.compared),
                "flagged" if expected else "not flagged",
                found == expected,
                seed,
                made_by,
            )
        )
    return rows


def _same(bold: Matrix, split: Split) -> Matrix:
    """BOLD that was prepared for the split already."""
    return bold


def _leaky(bold: Matrix, split: Split) -> Matrix:
    """What must not be done: filter and standardise over training and held-out volumes together."""
    whole = cleaning.clean_blocks(bold, split.runs, TR)
    return cleaning.standardise(whole, np.arange(len(whole)))


def _built(
    prepare: Callable[[Matrix, Split], Matrix],
    split: Split,
    known: dict[bytes, Matrix],
    waveform: Matrix,
    brains: Mapping[int, Matrix],
) -> Built:
    """All that decoding makes of a sound and of brains; no sound is encoded twice."""
    key = waveform.tobytes()
    if key not in known:
        known[key] = pooled_latents(np.asarray(waveform, np.float32), split.runs[-1][1])
    features = known[key]
    training: dict[str, NDArray[Any]] = {"features": features[split.train]}
    held_out: dict[str, NDArray[Any]] = {"true features": features[split.test]}
    for subject, raw in brains.items():
        bold = prepare(raw, split)
        predicted, ridge = regression.decode_units(
            bold, features, split, lags=LAGS, shift=SHIFT, n_folds=CV_FOLDS
        )
        training |= {
            f"BOLD of subject {subject}": bold[split.bold_train_rows],
            f"penalties of subject {subject}": ridge.alphas,
            f"mean of subject {subject}": ridge.mean,
        }
        held_out[f"prediction of subject {subject}"] = predicted
        reader = Reader.of(partial(_same, bold), [split], lags=LAGS, shift=SHIFT)
        held_out[f"reading of subject {subject}"] = reader.read(np.asarray(features, np.float64))[0]
    return Built(training, held_out)


def decided_by(module: str = "fmri_audio.experiments.calibration") -> str:
    """Hash of all that decides a table: the code that makes it, the play, the weights."""
    root = project_root()
    digest = hashlib.sha256(fingerprint(module).encode())
    read = [root / "stimulus" / name for name in ("part1.ogg", "part2.ogg", "segments.tsv")]
    for path in (*read, root / "checkpoints" / "encodec-24khz-demo.safetensors"):
        digest.update(sha256_of(path).encode())
    return digest.hexdigest()[:16]


def calibrate(repetitions: int, seed: int, jobs: int, say: Callable[[str], None]) -> list[CalibrationRow]:
    """Make the whole table.

    Parameters
    ----------
    repetitions : int
        Of each null variant; at least 500.
    seed : int
        Of the first repetition; the others count on from it.
    jobs : int
        Processes. They change nothing but the time.
    say : callable
        Takes one line of progress.
    """
    if repetitions < FEWEST_REPETITIONS:
        raise UserError(
            f"--repetitions {repetitions}: at least {FEWEST_REPETITIONS} are needed to tell 5 % from 10 %"
        )
    play, made_by = Heard.of(whole_play()), decided_by()
    run = joblib.Parallel(n_jobs=jobs)
    rows: list[CalibrationRow] = []
    for variant, count, several in (
        ("null", repetitions, VOXELS),
        ("null-shared", repetitions, VOXELS),
        ("matched", MATCHED_REPETITIONS, VOXELS),
        ("strong", STRONG_REPETITIONS, ("between",)),
    ):
        together: list[Identified] = []
        for k, voxels in enumerate(several):
            say(f"{variant}, {voxels}: {count} studies of {N_SUBJECTS} subjects, an excerpt each")
            first = (
                seed + k * count
            )  # other brains and excerpts for every model, so that they can be counted together
            found = run(
                joblib.delayed(identify_drawn)(play, variant, first + i, voxels) for i in range(count)
            )
            rows += rejections(variant, found, variant.startswith("null"), first, made_by, voxels)
            together += found
        if variant.startswith("null"):
            rows += at_most(variant, together, seed, made_by)
    say(f"null-shared: {repetitions} studies of {MANY_SUBJECTS} subjects")
    found = run(
        joblib.delayed(identify_drawn)(play, "null-shared", seed + i, "between", MANY_SUBJECTS)
        for i in range(repetitions)
    )
    rows += rejections("null-shared", found, True, seed, made_by)
    say(f"null: {repetitions} studies of one excerpt")
    opening = play.excerpt(0, N_TRS)
    rows += one_excerpt(
        run(joblib.delayed(identify_once)(opening, "null", seed + i) for i in range(repetitions)),
        seed,
        made_by,
    )
    say(f"strong: recovery in {STRONG_REPETITIONS} studies")
    recovered = run(
        joblib.delayed(recover_once)(play.drawn_excerpt(N_TRS, seed + i), seed + i)
        for i in range(STRONG_REPETITIONS)
    )
    rows += recovery(recovered, seed, made_by)
    return rows + leaks(seed, made_by)


def read(path: Path | None = None) -> list[CalibrationRow]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there; the sentence names the command that makes it.
    """
    return read_rows(CalibrationRow, path or project_root() / TABLE, "make calibrate")


@dataclass(frozen=True)
class Span:
    """A figure of the table with all models of a voxel that it was computed for, from the lowest to the highest.

    Attributes
    ----------
    low, high : float
    ci_low, ci_high : float
        The lower bound of the lowest interval, the upper one of the highest.
    n : int
        Studies of each.
    holds : bool
        Whether all are what was expected.
    """

    low: float
    high: float
    ci_low: float
    ci_high: float
    n: int
    holds: bool

    @property
    def said(self) -> str:
        """In words."""
        value = f"{self.low:.3f}" if self.low == self.high else f"{self.low:.3f} to {self.high:.3f}"
        return f"{value} ({self.ci_low:.3f} to {self.ci_high:.3f})"


def span(rows: Sequence[CalibrationRow], variant: str, quantity: str, subjects: int = N_SUBJECTS) -> Span:
    """Find a figure that has intervals, with every model of a voxel that it was computed for.

    Raises
    ------
    KeyError
        It is not there.
    """
    asked = (variant, quantity, subjects)
    found = [row for row in rows if (row.variant, row.quantity, row.subjects) == asked]
    return _span([row for row in found if row.voxels != TOGETHER], *asked)


def together(rows: Sequence[CalibrationRow], variant: str) -> Span:
    """Find the rate of false alarms over all models of a voxel.

    Raises
    ------
    KeyError
        It is not there.
    """
    return _span([row for row in rows if (row.variant, row.voxels) == (variant, TOGETHER)], variant)


def _span(found: Sequence[CalibrationRow], *asked: object) -> Span:
    if not found:
        raise KeyError(asked)
    return Span(
        min(row.value for row in found),
        max(row.value for row in found),
        min(row.ci_low for row in found if row.ci_low is not None),
        max(row.ci_high for row in found if row.ci_high is not None),
        found[0].n,
        all(row.holds is not False for row in found),
    )


def accident(rows: Sequence[CalibrationRow]) -> CalibrationRow:
    """Find what one sound's accident is worth."""
    asked = ("null-one-excerpt", "pairwise_identification")
    return next(row for row in rows if (row.variant, row.quantity) == asked)


def main(words: Sequence[str]) -> int:
    """Make the table and print it; return the exit status: 1 where something does not hold."""
    parser = argparse.ArgumentParser("make calibrate", description=str(__doc__).split("\n\n")[0])
    parser.add_argument(
        "--repetitions", type=command.repetitions, default=FEWEST_REPETITIONS, help="of each null variant"
    )
    parser.add_argument("--seed", type=command.seed, default=0)
    parser.add_argument("--jobs", type=command.processes, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    asked = parser.parse_args(words)
    check_writable(asked.out)
    rows = calibrate(
        asked.repetitions, asked.seed, asked.jobs, lambda line: print(line, file=sys.stderr, flush=True)
    )
    write_rows(rows, asked.out)
    for row in rows:
        interval = "" if row.ci_low is None else f" ({row.ci_low:.3f} to {row.ci_high:.3f})"
        verdict = "–" if row.holds is None else "yes" if row.holds else "NO"
        print(
            f"{row.variant:16} {row.voxels:8} {row.subjects:2} {row.quantity:44} {row.value:.3f}{interval}: "
            f"{row.expected}, {verdict}"
        )
    return 1 if any(row.holds is False for row in rows) else 0
