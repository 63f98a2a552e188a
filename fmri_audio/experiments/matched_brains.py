"""Simulated brains held to real ones: fitted to the regions of some runs, and looked at beside others.

``make matched-brains`` looks at the regions of a measured study and of simulated ones with each model of a voxel
(:mod:`fmri_audio.simulation.voxel_models`), side by side, and writes ``results/matched-brains.csv``. Six numbers of
each model were fitted to six quantities of the runs in :data:`FITTED_RUNS`, with ``--fit``, which prints them. Checks
are the same quantities and what is decoded in :data:`CHECKED_RUNS`, and what others published of 27 listeners to *Alice
in Wonderland* (Bhattasali et al. 2020). What fails is listed and not tuned.

Simulated listeners hear no film. They hear a random process with the spectra of the embedded play's features, as long
as the runs are, so that no accident of one short sound is fitted.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.stats import t

from fmri_audio.base.command import processes, whole
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.kinds import Matrix
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import FAMILIES, VOXELS, Voxels, project_root
from fmri_audio.base.timeline import pooled
from fmri_audio.brain.masks import AUDITORY_CENTRES
from fmri_audio.decoding.series import PIPELINE_FILE, Pipeline, Recorded
from fmri_audio.experiments import calibration
from fmri_audio.experiments.real_brains import recorded
from fmri_audio.experiments.region_facts import (
    Chosen,
    Facts,
    Regions,
    choose_regions,
    decoded_facts,
    facts_of,
)
from fmri_audio.simulation.brains import Simulation, plan_simulation, surrogate, volumes
from fmri_audio.simulation.grid import Grid, distance_to
from fmri_audio.simulation.haemodynamics import SHIFT_TRS
from fmri_audio.simulation.voxel_models import VOXEL_MODELS, VoxelModel
from fmri_audio.sound.acoustics import FEATURE_RATE, Features, acoustic_features
from fmri_audio.study.facts import Run, Subject
from fmri_audio.study.reader import Study

TABLE = Path("results/matched-brains.csv")
MADE_BY = "make matched-brains"
FITTED_RUNS, CHECKED_RUNS = ("1", "3", "5", "7"), ("2", "4", "6")
#: Of both hemispheres around auditory cortex; a region has as many voxels as a parcel of the Shen atlas has on average.
SHAPE, REGION_VOXELS = (48, 20, 16), 190
#: Of the fit, which ends earlier where all quantities are this near to the real ones.
ROUNDS, NEAR, DAMPED = 8, 0.015, 0.7
#: Brains and sounds of the fit, the same in every round, and none of those that are looked at afterwards. Studies
#: scatter by .05 in ``explained by level``, so that two would not tell where a model is.
FIT_SEEDS = range(100, 108)
#: Simulated and real agree where the real interval over runs holds the simulated mean, or they differ by no more than
#: this share of the real; published figures come without an interval, and are held to the other share.
TOLERANCE, PUBLISHED_TOLERANCE = 0.1, 0.2
#: What others published of listeners to Alice in Wonderland: how many, minutes, TR, radius of a sphere (mm).
ALICE_LISTENERS, ALICE_MINUTES, ALICE_TR, ALICE_RADIUS = 27, 12.4, Fraction(2), 6.0
ALICE = {"agreement": 0.39, "pairs": 0.18, "level r": 0.145, "explained by sound": 0.4}
ALICE_NAME = "Alice in Wonderland"


@dataclass(frozen=True)
class MatchedRow:
    """One quantity of regions.

    Attributes
    ----------
    quantity : str
    of : ``runs 1, 3, 5, 7``, ``runs 2, 4, 6`` or ``Alice in Wonderland``
    kind : ``fitted``, ``follows`` or ``check``
        Simulated brains were brought to it; it follows from what they were brought to; or neither.
    real : float
        Mean over runs, or as published.
    real_low, real_high : float, optional
        95 % interval over runs.
    smooth, between, fine : float
        Simulated, with each model of a voxel.
    agrees : str
        The models that agree with the real figure.
    made_by : str
        Hash of code and play.
    """

    quantity: str
    of: str
    kind: str
    real: float
    real_low: float | None
    real_high: float | None
    smooth: float
    between: float
    fine: float
    agrees: str
    made_by: str


#: What is fitted, by the number of the model that moves it.
FITTED = {
    "pairs": "strength",
    "explained by sound": "unheard",
    "explained by level": "level",
    "residual between regions": "common",
    "residual lag-1": "autocorrelation",
    "slow": "drift",
}
FOLLOWS = ("agreement",)
"""Follows from the agreement of pairs and the number of listeners."""


@dataclass(frozen=True)
class Sounds:
    """What simulated listeners hear: the features of the play, of which processes as long as asked are drawn."""

    features: Features

    @classmethod
    def of_the_play(cls) -> Sounds:
        """Of the whole embedded play."""
        play = calibration.whole_play()
        return cls(acoustic_features(play.waveform, play.sample_rate))

    def drawn(self, n_trs: int, tr: Fraction, seed: int) -> Features:
        """A random process with these spectra."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        return surrogate(self.features, rng, int(n_trs * tr * FEATURE_RATE) + 1)


def simulate(
    sounds: Sounds, model: VoxelModel, lengths: Sequence[int], tr: Fraction, seed: int
) -> tuple[Simulation, dict[str, NDArray[np.float64]]]:
    """Plan a study of runs of these lengths; also what is heard per TR, by feature, the level first."""
    edges = np.concatenate([[0], np.cumsum(lengths)])
    runs = [
        Run(name=str(i + 1), first_tr=int(a), n_trs=int(b - a)) for i, (a, b) in enumerate(pairwise(edges))
    ]
    features = sounds.drawn(int(edges[-1]), tr, seed)
    simulation = plan_simulation(
        features, Grid.of_shape(SHAPE), runs, tr, seed=seed, families=FAMILIES, voxels=model
    )
    values = pooled(features.values, int(edges[-1]), tr, Fraction(FEATURE_RATE)).astype(np.float64)
    heard = dict(zip(features.names, values.T, strict=True))
    return simulation, {"level": heard.pop("level"), **heard}


def regions_of(grid: Grid, seed: int = 0) -> NDArray[np.float32]:
    """Compact regions of about as many voxels as a parcel has: weights that average them, [tissue voxels, regions].

    Like the parcels of an atlas that was made from function, none reaches across the border of auditory cortex.
    """
    positions, regions = grid.positions(grid.tissue), []
    active, other = grid.active[grid.tissue], grid.other[grid.tissue]
    for part in (active, other, ~active & ~other):
        n = max(1, round(part.sum() / REGION_VOXELS))
        _, label = kmeans2(positions[part], n, minit="++", seed=np.random.default_rng(seed))
        member = np.zeros((len(positions), n), np.float32)
        member[np.flatnonzero(part), label] = 1
        regions.append(member[:, member.any(axis=0)])
    weights = np.concatenate(regions, axis=1)
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def sphere(grid: Grid, radius: float = ALICE_RADIUS) -> NDArray[np.float32]:
    """Sphere around each centre of auditory cortex: weights that average it, [tissue voxels, spheres]."""
    positions = grid.positions(grid.tissue)
    member = np.stack([distance_to(positions, [centre]) <= radius for centre in AUDITORY_CENTRES], axis=1)
    return np.asarray(member / member.sum(axis=0), np.float32)


def averaged(simulation: Simulation, subject: int, weights: NDArray[np.float32]) -> Matrix:
    """One simulated subject's regions, [TRs, regions]."""
    parts = volumes(simulation, simulation.subject(subject), simulation.grid.tissue)
    return np.concatenate([part @ weights for part in parts])


def simulated(
    sounds: Sounds, model: VoxelModel, like: Recorded, seed: int, n_subjects: int | None = None
) -> Recorded:
    """Simulated listeners in place of real ones: as many, with as many runs of the same lengths.

    ``heard`` holds all acoustic features, which is more than real brains' level and words.
    """
    lengths = [last - first for first, last in like.runs]
    simulation, heard = simulate(sounds, model, lengths, like.tr, seed)
    weights = regions_of(simulation.grid)
    subjects = range(1, (n_subjects or len(like.bold)) + 1)
    bold: dict[Subject, Matrix] = {k: averaged(simulation, k, weights) for k in subjects}
    return Recorded(bold, heard, like.runs, like.names, like.tr, SHIFT_TRS)


def part(what: Recorded, names: Sequence[str]) -> Recorded:
    """Some runs of what was recorded, joined."""
    blocks = [block for name, block in zip(what.names, what.runs, strict=True) if name in names]
    rows = np.concatenate([np.arange(*block) for block in blocks])
    edges = np.concatenate([[0], np.cumsum([last - first for first, last in blocks])])
    return replace(
        what,
        bold={subject: bold[rows] for subject, bold in what.bold.items()},
        heard={name: values[rows] for name, values in what.heard.items()},
        runs=[(int(a), int(b)) for a, b in pairwise(edges)],
        names=list(names),
    )


def moved(model: VoxelModel, real: Mapping[str, float], found: Mapping[str, float]) -> VoxelModel:
    """One step of the fit: every number of the model by how far off the quantity is that follows it.

    Shares move by a root of the ratio of odds, autocorrelation by most of the difference. A number whose quantity is
    near already stays.
    """
    off = {name for name in FITTED if abs(found[name] - real[name]) >= NEAR}

    def by_odds(now: float, quantity: str, most: float) -> float:
        if quantity not in off:
            return now
        wanted, got = (np.clip(x[quantity], 0.005, 0.98) for x in (real, found))
        odds = now / (1 - now) * (wanted / (1 - wanted) / (got / (1 - got))) ** DAMPED
        return float(np.clip(odds / (1 + odds), 1e-4, most))

    noise = model.noise
    lag_one, drift_variance = noise.autocorrelation, noise.drift_variance
    if "residual lag-1" in off:
        lag_one = float(
            np.clip(lag_one + 0.8 * (real["residual lag-1"] - found["residual lag-1"]), 0.01, 0.95)
        )
    if "slow" in off:
        drift_variance *= float(real["slow"] / max(found["slow"], 1e-3))
    return replace(
        model,
        strength=by_odds(model.strength, "pairs", 0.7),
        unheard=1 - by_odds(1 - model.unheard, "explained by sound", 1 - 1e-4),
        level=by_odds(model.level, "explained by level", 0.98),
        noise=replace(
            noise,
            common=by_odds(noise.common, "residual between regions", 0.9),
            autocorrelation=lag_one,
            drift_variance=drift_variance,
        ),
    )


def means(facts: Sequence[Facts]) -> dict[str, float]:
    """Every quantity's mean over runs and over the studies that have it."""
    names = dict.fromkeys(name for one in facts for name in one)
    return {name: float(np.mean([one[name].mean() for one in facts if name in one])) for name in names}


def fit(
    sounds: Sounds, model: VoxelModel, like: Recorded, real: Mapping[str, float], say: Callable[[str], None]
) -> VoxelModel:
    """Bring a model to the fitted quantities of real regions, as the mean of a few simulated studies has them.

    Returns the nearest of the rounds, by the largest difference.
    """
    tried: list[tuple[float, VoxelModel]] = []
    for k in range(ROUNDS):
        several = [Regions.of(simulated(sounds, model, like, seed)) for seed in FIT_SEEDS]
        found = means([facts_of(one, choose_regions(one)) for one in several])
        off = max(abs(found[name] - real[name]) for name in FITTED)
        tried.append((off, model))
        say(f"round {k + 1}: " + ", ".join(f"{name} {found[name]:.3f}" for name in FITTED) + f"; {model}")
        if off < NEAR:
            break
        model = moved(model, real, found)
    return min(tried, key=lambda one: one[0])[1]


def alice(sounds: Sounds, model: VoxelModel, seed: int) -> Facts:
    """What simulated listeners have in spheres around auditory cortex where 27 real ones heard a story."""
    n_trs = int(ALICE_MINUTES * 60 / ALICE_TR)
    simulation, heard = simulate(sounds, model, [n_trs // 2, n_trs - n_trs // 2], ALICE_TR, seed)
    weights = sphere(simulation.grid)
    bold: dict[Subject, Matrix] = {k: averaged(simulation, k, weights) for k in range(1, ALICE_LISTENERS + 1)}
    runs = [(run.first_tr, run.last_tr) for run in simulation.runs]
    everything = np.arange(weights.shape[1])
    regions = Regions.of(Recorded(bold, heard, runs, ["1", "2"], ALICE_TR, SHIFT_TRS))
    found = facts_of(regions, Chosen(everything, everything))
    return {name: found[name] for name in ALICE}


def rows_of(
    of: str, real: Facts, made: Mapping[Voxels, Mapping[str, float]], fitted: bool, made_by: str
) -> Iterator[MatchedRow]:
    """Yield the quantities of one set of runs."""
    for quantity, values in real.items():
        mean, low, high = float(values.mean()), None, None
        if len(values) > 1:
            half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
            low, high = mean - float(half), mean + float(half)
        margin = abs(mean) * (TOLERANCE if len(values) > 1 else PUBLISHED_TOLERANCE)
        found = {name: made[name][quantity] for name in VOXELS}
        agree = [
            name
            for name, one in found.items()
            if abs(one - mean) <= margin or (low is not None and high is not None and low <= one <= high)
        ]
        kind = "check"
        if fitted or quantity in FOLLOWS:
            kind = "fitted" if fitted and quantity in FITTED else "follows"
        agrees = " ".join(agree) or "none"
        yield MatchedRow(quantity, of, kind, mean, low, high, **found, agrees=agrees, made_by=made_by)


PARTS = (FITTED_RUNS, CHECKED_RUNS)


def looked_at(what: Recorded, pipeline: Pipeline | None) -> list[Facts]:
    """Facts of both parts of the runs, and what is decoded of them; regions are chosen on the first."""
    several = [Regions.of(part(what, runs)) for runs in PARTS]
    chosen = choose_regions(several[0])
    return [
        facts_of(regions, chosen) | (decoded_facts(part(what, runs), pipeline) if pipeline else {})
        for regions, runs in zip(several, PARTS, strict=True)
    ]


def made_once(
    sounds: Sounds, name: Voxels, like: Recorded, pipeline: Pipeline | None, seed: int
) -> tuple[list[Facts], Facts | None]:
    """Facts of one simulated study; with a pipeline also what is decoded, and simulated listeners to the story."""
    model = VOXEL_MODELS[name]
    found = looked_at(simulated(sounds, model, like, seed), pipeline)
    return found, alice(sounds, model, seed) if pipeline else None


def compare(
    study: Study,
    pipeline: Pipeline,
    seeds: Sequence[int],
    n_decoded: int,
    jobs: int,
    say: Callable[[str], None],
) -> list[MatchedRow]:
    """Look at real and simulated regions side by side.

    Simulated studies scatter (``explained by level`` by .05): there are many of them, of which the first few are
    decoded, which takes longest.
    """
    sounds, digest = Sounds.of_the_play(), decided_by()
    names = sorted(FITTED_RUNS + CHECKED_RUNS)
    like = recorded(study, pipeline.model_copy(update={"runs": names}))
    say("real brains")
    real = looked_at(like, pipeline)
    tasks = list(itertools.product(seeds, VOXELS))
    say(f"{len(tasks)} simulated studies")
    blank = replace(like, bold={subject: bold[:, :1] for subject, bold in like.bold.items()})
    found = Parallel(n_jobs=jobs)(
        delayed(made_once)(sounds, name, blank, pipeline if k < n_decoded * len(VOXELS) else None, seed)
        for k, (seed, name) in enumerate(tasks)
    )
    made = {
        name: [one for (_, model), one in zip(tasks, found, strict=True) if model == name] for name in VOXELS
    }
    rows: list[MatchedRow] = []
    for k, runs in enumerate(PARTS):
        several = {name: means([one[0][k] for one in made[name]]) for name in VOXELS}
        rows += rows_of("runs " + ", ".join(runs), real[k], several, runs is FITTED_RUNS, digest)
    published = {name: np.array([value]) for name, value in ALICE.items()}
    heard = {name: means([one for _, one in made[name] if one is not None]) for name in VOXELS}
    return rows + list(rows_of(ALICE_NAME, published, heard, False, digest))


def decided_by() -> str:
    """Hash of all that decides the table but the recordings: the code and the play."""
    return calibration.decided_by("fmri_audio.experiments.matched_brains")


def read(path: Path | None = None) -> list[MatchedRow]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there.
    """
    return read_rows(MatchedRow, path or project_root() / TABLE, MADE_BY)


def main(words: Sequence[str]) -> int:
    """Fit the models, or write the table; return the exit status."""
    parser = argparse.ArgumentParser("matched-brains", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="study of parcels, see make data STUDY=studyforrest")
    parser.add_argument(
        "--fit", choices=VOXELS, nargs="+", help="fit these and print them; nothing is written"
    )
    parser.add_argument("--jobs", type=processes, default=1, help="processes")
    parser.add_argument("--seeds", type=whole(1, 100), default=12, help="simulated studies of each model")
    parser.add_argument("--decoded", type=whole(1, 100), default=3, help="as many of these are decoded too")
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    asked = parser.parse_args(words)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    pipeline, study = Pipeline.read(project_root() / PIPELINE_FILE), Study.open(asked.folder)
    lacking = set(FITTED_RUNS + CHECKED_RUNS) - {run.name for run in study.facts.runs}
    if lacking:
        raise UserError(
            f"{asked.folder}: has no run {min(lacking)}; give the study that `make data STUDY=studyforrest` fetches"
        )
    if asked.fit:
        like = recorded(study, pipeline.model_copy(update={"runs": list(FITTED_RUNS)}))
        regions = Regions.of(like)
        real, sounds = means([facts_of(regions, choose_regions(regions))]), Sounds.of_the_play()
        say("real: " + ", ".join(f"{name} {real[name]:.3f}" for name in FITTED))
        for name in asked.fit:
            print(name, fit(sounds, VOXEL_MODELS[name], like, real, say), flush=True)
        return 0
    check_writable(asked.out)
    rows = compare(study, pipeline, range(asked.seeds), asked.decoded, asked.jobs, say)
    write_rows(rows, asked.out, digits=4)
    for row in rows:
        print(
            f"{row.of:20} {row.quantity:26} {row.kind:8} real {row.real:.3f}  smooth {row.smooth:.3f}  "
            f"between {row.between:.3f}  fine {row.fine:.3f}  {row.agrees}"
        )
    return 0
