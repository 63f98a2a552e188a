"""Simulated brains held to real ones: fitted to the regions of some runs, and looked at beside others.

``python -m programs matched-brains FOLDER`` looks at the regions of a measured study and of simulated ones with each
model of a voxel (:mod:`fmri_audio.simulation.voxel_models`), side by side, and writes ``results/matched-brains.csv``.
Six numbers of each model were fitted to six quantities of the runs in :data:`FITTED_RUNS`, with ``--fit``, which prints
them. Everything else is a check: the same quantities in :data:`CHECKED_RUNS`, what is decoded, and what others
published of 27 listeners to *Alice in Wonderland*. What fails is listed and not tuned.

Simulated listeners hear no film. They hear a random process with the spectra of the embedded play's features, as long
as the runs are, so that no accident of one short sound is fitted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from fmri_audio.base.command import whole
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.kinds import Matrix
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import FAMILIES, VOXELS, Voxels, project_root
from fmri_audio.base.timeline import pooled
from fmri_audio.brain.agreement import leave_one_out_isc, pairwise_isc
from fmri_audio.brain.masks import AUDITORY_CENTRES
from fmri_audio.decoding.series import PIPELINE_FILE, Pipeline, Recorded
from fmri_audio.experiments import calibration
from fmri_audio.experiments.real_brains import recorded
from fmri_audio.experiments.region_facts import Chosen, Regions, choose_regions, decoded_facts, facts_of
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
#: Of the fit, which ends earlier where nothing moves any more.
ROUNDS, STILL = 6, 0.015
#: Brains and sounds of the fit, the same in every round, and none of those that are looked at afterwards.
FIT_SEEDS = (100, 101)
#: Simulated and real agree where they differ by no more than this share of the real, or this much.
TOLERANCE, LEAST = 0.2, 0.03
#: What others published of listeners to Alice in Wonderland: how many, minutes, TR, radius of a sphere (mm).
ALICE_LISTENERS, ALICE_MINUTES, ALICE_TR, ALICE_RADIUS = 27, 12.4, Fraction(2), 6.0
ALICE = {
    "agreement": 0.39,
    "pairs": 0.18,
    "level r": 0.145,
    "explained by sound": 0.4,
}


@dataclass(frozen=True)
class MatchedRow:
    """One quantity of regions.

    Attributes
    ----------
    quantity : str
    of : ``runs 1, 3, 5, 7``, ``runs 2, 4, 6`` or ``Alice in Wonderland``
    fitted : bool
        Whether simulated brains were brought to it.
    real : float
    smooth, between, fine : float
        Simulated, with each model of a voxel.
    agrees : str
        The models that agree with the real figure, within 20 % of it or .03.
    made_by : str
        Hash of code and play.
    """

    quantity: str
    of: str
    fitted: bool
    real: float
    smooth: float
    between: float
    fine: float
    agrees: str
    made_by: str


#: What is fitted, by what: quantity and the number of the model that moves it.
FITTED = {
    "pairs": "strength",
    "explained by sound": "unheard",
    "explained by level": "level",
    "residual between regions": "common",
    "residual lag-1": "autocorrelation",
    "residual slow": "drift",
}


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


def moved(model: VoxelModel, real: Mapping[str, float], found: Mapping[str, float]) -> VoxelModel:
    """One step of the fit: every number of the model by how far off the quantity is that follows it.

    Shares move by the ratio of odds, autocorrelation by the difference.
    """

    def by_odds(now: float, quantity: str, most: float) -> float:
        wanted, got = (np.clip(x[quantity], 0.005, 0.98) for x in (real, found))
        odds = now / (1 - now) * (wanted / (1 - wanted)) / (got / (1 - got))
        return float(np.clip(odds / (1 + odds), 1e-4, most))

    noise = model.noise
    lag_one = noise.autocorrelation + 0.8 * (real["residual lag-1"] - found["residual lag-1"])
    return replace(
        model,
        strength=by_odds(model.strength, "pairs", 0.7),
        unheard=1 - by_odds(1 - model.unheard, "explained by sound", 1 - 1e-4),
        level=by_odds(model.level, "explained by level", 0.98),
        noise=replace(
            noise,
            common=by_odds(noise.common, "residual between regions", 0.9),
            autocorrelation=float(np.clip(lag_one, 0.01, 0.95)),
            drift_variance=noise.drift_variance * float(real["residual slow"] / found["residual slow"]),
        ),
    )


def fit(
    sounds: Sounds, model: VoxelModel, like: Recorded, real: Mapping[str, float], say: Callable[[str], None]
) -> VoxelModel:
    """Bring a model to the fitted quantities of real regions, as the mean of a few simulated studies has them."""
    for k in range(ROUNDS):
        several = []
        for seed in FIT_SEEDS:
            made = simulated(sounds, model, like, seed)
            several.append(facts_of(made, choose_regions(Regions.of(made))))
        found = {name: float(np.mean([one[name] for one in several])) for name in several[0]}
        off = {name: found[name] - real[name] for name in FITTED}
        say(f"round {k + 1}: " + ", ".join(f"{name} {found[name]:.3f}" for name in FITTED) + f"; {model}")
        if max(map(abs, off.values())) < STILL:
            break
        model = moved(model, real, found)
    return model


def alice(sounds: Sounds, model: VoxelModel, seed: int) -> dict[str, float]:
    """What simulated listeners have in spheres around auditory cortex where 27 real ones heard a story."""
    n_trs = int(ALICE_MINUTES * 60 / ALICE_TR)
    simulation, heard = simulate(sounds, model, [n_trs // 2, n_trs - n_trs // 2], ALICE_TR, seed)
    weights = sphere(simulation.grid)
    bold: dict[Subject, Matrix] = {k: averaged(simulation, k, weights) for k in range(1, ALICE_LISTENERS + 1)}
    runs = [(run.first_tr, run.last_tr) for run in simulation.runs]
    what = Recorded(bold, heard, runs, ["1", "2"], ALICE_TR, SHIFT_TRS)
    both = np.arange(weights.shape[1])
    regions = Regions.of(what)
    found = facts_of(what, Chosen(both, both))
    return {
        "agreement": float(leave_one_out_isc(regions.bold).mean()),
        "pairs": float(pairwise_isc(regions.bold).mean()),
        "level r": found["level r"],
        "explained by sound": found["explained by sound"],
    }


def rows_of(
    of: str, real: Mapping[str, float], made: Mapping[Voxels, Mapping[str, float]], fitted: bool, made_by: str
) -> Iterator[MatchedRow]:
    """Yield the quantities of one set of runs."""
    for quantity, value in real.items():
        found = {name: made[name][quantity] for name in VOXELS}
        agree = [
            name for name, one in found.items() if abs(one - value) <= max(TOLERANCE * abs(value), LEAST)
        ]
        yield MatchedRow(
            quantity,
            of,
            fitted and quantity in FITTED,
            value,
            **found,
            agrees=" ".join(agree) or "none",
            made_by=made_by,
        )


def compare(
    study: Study, pipeline: Pipeline, seeds: Sequence[int], say: Callable[[str], None]
) -> list[MatchedRow]:
    """Look at real and simulated regions side by side."""
    sounds = Sounds.of_the_play()
    digest = decided_by()
    rows: list[MatchedRow] = []
    chosen: Chosen | None = None
    chosen_made: dict[tuple[str, int], Chosen] = {}
    for names, fitted in ((FITTED_RUNS, True), (CHECKED_RUNS, False)):
        of = "runs " + ", ".join(names)
        like = recorded(study, pipeline.model_copy(update={"runs": list(names)}))
        chosen = chosen or choose_regions(Regions.of(like))
        say(f"{of}: real")
        real = facts_of(like, chosen) | decoded_facts(like, pipeline)
        made: dict[Voxels, dict[str, float]] = {}
        for name in VOXELS:
            found = []
            for seed in seeds:
                say(f"{of}: {name}, seed {seed}")
                one = simulated(sounds, VOXEL_MODELS[name], like, seed)
                picked = chosen_made.setdefault((name, seed), choose_regions(Regions.of(one)))
                found.append(facts_of(one, picked) | decoded_facts(one, pipeline))
            made[name] = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        rows += rows_of(of, real, made, fitted, digest)
    say("Alice in Wonderland")
    heard = {name: [alice(sounds, VOXEL_MODELS[name], seed) for seed in seeds] for name in VOXELS}
    means = {
        name: {key: float(np.mean([x[key] for x in found])) for key in ALICE} for name, found in heard.items()
    }
    return rows + list(rows_of("Alice in Wonderland", ALICE, means, False, digest))


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
    parser.add_argument("--seeds", type=whole(1, 100), default=3, help="simulated studies of each model")
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    asked = parser.parse_args(words)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    pipeline, study = Pipeline.read(project_root() / PIPELINE_FILE), Study.open(asked.folder)
    if not any(run.name in FITTED_RUNS for run in study.facts.runs):
        raise UserError(f"{asked.folder}: has none of the runs {', '.join(FITTED_RUNS)} that are fitted on")
    if asked.fit:
        like = recorded(study, pipeline.model_copy(update={"runs": list(FITTED_RUNS)}))
        real = facts_of(like, choose_regions(Regions.of(like)))
        sounds = Sounds.of_the_play()
        for name in asked.fit:
            print(name, fit(sounds, VOXEL_MODELS[name], like, real, say))
        return 0
    check_writable(asked.out)
    rows = compare(study, pipeline, range(asked.seeds), say)
    write_rows(rows, asked.out, digits=4)
    for row in rows:
        print(
            f"{row.of:20} {row.quantity:26} real {row.real:.3f}  smooth {row.smooth:.3f}  between {row.between:.3f}  "
            f"fine {row.fine:.3f}  {row.agrees}"
        )
    return 0
