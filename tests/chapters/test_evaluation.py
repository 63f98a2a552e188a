"""Chapter 7: words and numbers that follow from scores, whichever way they point."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.words import REMEASURED
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation import (
    bits,
    by_sound,
    calibrated,
    clips,
    decodes,
    distances,
    earlier,
    helping,
    noise,
    opening,
    seeds,
    segments,
    voxels,
    words,
)
from fmri_audio.chapters.evaluation.decodes import ArmScores, ArmSounds
from fmri_audio.chapters.evaluation.segments import Comparisons
from fmri_audio.decoding.identification import Identified
from fmri_audio.decoding.information import MOST_COMPONENTS, Bits
from fmri_audio.edition.readings import Reading
from fmri_audio.experiments import calibration, confirmed_rates, helped
from fmri_audio.experiments.controls import CONTROL_LABELS
from fmri_audio.sound.recognition import NO_RECOGNISER, Passage, SentencesIdentified, Words
from fmri_audio.sound.scoring import METRIC_NAMES
from fmri_audio.study.splits import contiguous_split

ARMS = ("mel", "frozen", "finetuned")


def scores_of(*distances: float, kind: str = "speech", **metrics: float) -> pd.DataFrame:
    """Scores of windows with these mel distances."""
    frame = pd.DataFrame({"window": [f"w{k}" for k in range(len(distances))], "kind": kind})
    return frame.assign(**{**dict.fromkeys(METRIC_NAMES, 0.5), **metrics, "mel_distance_db": distances})


def arm_scores(measured: float, no_brain: float, free: float = 5.0, noisy: float = 6.0) -> ArmScores:
    """Mel distances under every condition; two subjects lie 2 dB apart, and every control is 20 dB away."""
    subjects = {1: scores_of(measured - 1), 2: scores_of(measured + 1)}
    other = dict.fromkeys(subjects, scores_of(15.0))
    controls = dict.fromkeys(CONTROL_LABELS, scores_of(20.0))
    return ArmScores(scores_of(free), scores_of(noisy), scores_of(no_brain), subjects, other, controls)


def identified(
    accuracy: float, *, n_segments: int = 40, n_left_out: int = 0, shifts: int = 120
) -> Identified:
    """Two subjects a tenth apart, and shifts that give one half."""
    pairs = np.full((2, 1 + shifts), 0.5)
    pairs[:, 0] = accuracy - 0.05, accuracy + 0.05
    return Identified(pairs, 0.5, n_segments, n_left_out)


def block(**more: Any) -> Any:
    """What sentences see of a held-out block."""
    split = contiguous_split([(0, 200)], test_fraction=0.25, gap=12, lags=[2, 3], shift=3, tr=Fraction(3, 2))
    return SimpleNamespace(
        **{
            "run": SimpleNamespace(
                bandwidth=6.0,
                checkpoint=SimpleNamespace(id="demo-1"),
                stimulus=SimpleNamespace(name="the play"),
            ),
            "study": SimpleNamespace(simulated=True, name="made", subjects=[1, 2], tr=Fraction(3, 2)),
            "settings": SimpleNamespace(rank=8, lag_trs=[2, 3], validation_fraction=0.2),
            "split": split,
            "windows": [SimpleNamespace(kind="speech")] * 3,
            "n_units": 40,
            **more,
        }
    )


def test_the_chapter_begins_with_whose_brains_and_that_it_is_measured_anew() -> None:
    said = opening.values(block())
    assert said["brains"] == "simulated brains" and said["remeasured"] == REMEASURED
    assert said["lags"] == "2, 3" and 0 < float(said["train_trs"]) < 150
    assert brains_of(block(study=SimpleNamespace(simulated=False))) == "measured brains"


def test_what_holds_in_arms_names_them() -> None:
    assert opening.in_arms(["frozen by 0.10 dB", "codes by 0.20 dB"], 5) == (
        "in 2 of 5 arms (frozen by 0.10 dB, codes by 0.20 dB)"
    )
    assert opening.in_arms([], 5) == "in none of 5 arms"


def help_of(arm: str, trained: float) -> helped.Help:
    stoi = {helped.TRAINED: trained, helped.UNTRAINED: 0.5, helped.LINEAR: 0.6}
    return helped.Help(
        arm,
        {
            name: {"stoi": value, "estoi": value - 0.1, "mel_distance_db": 10 - value}
            for name, value in stoi.items()
        },
    )


def test_training_helps_all_or_those_it_did_not_are_named() -> None:
    good, bad = help_of("frozen", 0.8), help_of("finetuned", 0.4)
    assert helping.verdict({"frozen": good}) == "Training helped all 1 arms on validation sound."
    assert helping.verdict({"frozen": good, "finetuned": bad}).startswith(
        "Training did not help 1 of 2 arms (fine-tuned): "
    )
    frame, _, formats = helping.table(block(), {"frozen": good, "finetuned": bad})
    assert frame["training helped"].tolist() == ["yes", "no"]
    assert set(formats) < set(frame.columns) and formats["STOI, block PCA"] == ".3f"


def test_bandwidth_is_worth_what_the_codec_gains_and_the_bottleneck_does_not() -> None:
    across = pd.DataFrame(
        {
            "row": [earlier.CODEC] * 2 + [earlier.BOTTLENECK] * 2,
            "bandwidth_kbps": [1.5, 6.0] * 2,
            "mel_distance_db": [6.0, 4.0, 9.0, 9.5],
        }
    )
    assert earlier.values(across) == {
        "nearest": 1.5,
        "codec_spread": 2.0,
        "bottleneck_spread": 0.5,
        "highest": 6.0,
        "bottleneck_cost": 5.5,
    }


@pytest.mark.parametrize(
    ("covarying", "independent", "words"),
    [
        (10.0, 10.5, "0.50 dB farther: by this measure it is no upper bound"),
        (10.0, 9.75, "0.25 dB closer, as an upper bound on what passes should be."),
    ],
)
def test_noise_without_covariance_is_a_bound_or_not(covarying: float, independent: float, words: str) -> None:
    assert words in distances.independent_said(covarying, independent)


def test_a_decode_is_closer_than_no_brain_or_it_is_not() -> None:
    assert distances.against_nothing("speech", arm_scores(10, 11)) == "closer to the original than"
    assert distances.against_nothing("speech", arm_scores(11, 11)) == "no closer to the original than"


def test_controls_name_the_arms_that_are_closer_by_what_is_printed() -> None:
    scores = {"mel": arm_scores(19.9, 25), "frozen": arm_scores(19.996, 25), "finetuned": arm_scores(21, 25)}
    said = distances.closer_than("speech", scores)
    assert set(said) == {"closer_than_envelope_only", "closer_than_speech_only", "closer_than_random_sound"}
    assert set(said.values()) == {"in 1 of 3 arms (mel + Griffin-Lim by 0.10 dB)"}


def test_silence_is_said_where_there_is_some() -> None:
    assert distances.silent_said([]) == ""
    assert "What the codes arm decodes is silence" in distances.silent_said(["codes"])
    assert "What the codes and the frozen arms decode is silence" in distances.silent_said(
        ["codes", "frozen"]
    )
    sounds = {1: np.full(9, 1e-4, np.float32), 2: np.full(9, 1e-4, np.float32)}
    rest = dict.fromkeys(("through", "bottleneck", "noisy", "voxel_noise", "decoded", "controls"))
    assert ArmSounds(measured=sounds, **rest).silent  # type: ignore[arg-type]
    assert not ArmSounds(measured={**sounds, 2: np.ones(9, np.float32)}, **rest).silent  # type: ignore[arg-type]


def test_windows_without_a_score_are_counted_with_their_reason() -> None:
    whole = scores_of(1, 2, 3)
    assert distances.left_out("music", whole).startswith("Nobody speaks")
    assert distances.left_out("speech", whole) == "PESQ and STOI are defined in all 3 decoded windows."
    said = distances.left_out("speech", pd.concat([whole, scores_of(4, pesq_wb=np.nan)]))
    assert said.startswith("Of 4 decoded windows, 1 have no PESQ") and "0 no STOI" in said


def test_means_and_ranges_are_those_of_each_arm() -> None:
    scores = {"frozen": arm_scores(10, 11)}
    means = distances.mean_scores("speech", scores)
    assert means["frozen_measured_mel_distance_db"] == 10 and means["frozen_nothing_mel_distance_db"] == 11
    assert means["frozen_ceiling_mel_distance_db"] == 5 and means["frozen_random_sound_stoi"] == 0.5
    assert distances.apart("speech", scores) == "frozen 9.00 to 11.00 dB"


def test_figures_show_every_arm_and_condition() -> None:
    scores = {arm: arm_scores(10, 11) for arm in ARMS}
    expected = {
        distances.figure: list(decodes.CONDITIONS),
        distances.subjects_figure: ["mel + Griffin-Lim", "frozen", "fine-tuned"],
    }
    for draw, labels in expected.items():
        drawn = draw(block(), scores)
        assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == labels
        plt.close(drawn)


def test_seeds_say_which_arm_is_closer_and_one_seed_says_nothing() -> None:
    assert seeds.seeds_said({"frozen": [10.0], "finetuned": [9.5]}) == (
        "In this edition both were trained from a single seed: how much of the 0.50 dB between their measured mel "
        "distances is due to the start is not known."
    )
    assert seeds.seeds_said({"frozen": [10.0, 11.0], "finetuned": [9.5, 11.25]}) == (
        "Over 2 seeds the measured mel distance ranges from 10.00 to 11.00 dB (frozen) and from 9.50 to 11.25 dB "
        "(fine-tuned); the fine-tuned arm is the closer one from 1 of them, by -0.25 to +0.50 dB."
    )


def test_gains_of_seeds_are_counted_from_each_arm_s_own_training_mean() -> None:
    by_seed = {
        (arm, 0, condition): scores_of(distance)
        for arm, distance in (("frozen", 10.0), ("finetuned", 9.0))
        for condition in seeds.CONDITIONS
    }
    said = seeds.values("speech", by_seed, {"frozen": arm_scores(10, 12), "finetuned": arm_scores(9, 9.5)})
    assert said["own_gains"] == "+2.00 dB (frozen) and +0.50 dB (fine-tuned)"
    assert said["apart_without"] == "+2.50"


def test_noise_takes_from_an_arm_or_it_does_not() -> None:
    both = {"mel": arm_scores(10, 15, free=5, noisy=7), "frozen": arm_scores(10, 15, free=5, noisy=4.5)}
    said = noise.lost("speech", both)
    assert said["lost"] == "mel + Griffin-Lim 2.00 of 10.00 dB"
    assert "In the arm frozen the sound is no nearer without noise" in said["flat_said"]
    assert noise.lost("speech", {"mel": both["mel"]})["flat_said"] == ""
    assert noise.lost("speech", {"frozen": both["frozen"]})["lost"] == "it grows in no arm"


def test_ten_of_a_kind_are_told_only_where_there_are_enough() -> None:
    """A decoder that was fitted anew under every shift has a p, any other an approximate one."""
    for refitted, p in ((True, "p = "), (False, "approximate p ")):
        assert segments.ten_matched_said(replace(identified(0.3), refitted=refitted)).startswith(
            f"Among ten of the same kind and loudness 0.30 are found ({p}"
        )
    few, none = identified(0.3, n_segments=4, n_left_out=36), identified(0.3, n_segments=0, n_left_out=40)
    assert "Only 4 of 40 segments have so many, which is too few" in segments.ten_matched_said(few)
    assert "No segment has so many" in segments.ten_matched_said(none)


def test_shares_are_said_where_there_is_a_segment() -> None:
    some, none = identified(0.7), identified(0.7, n_segments=0)
    assert segments.accuracy_said(some) == "0.70" and segments.subjects_said(some) == "0.65 to 0.75"
    assert segments.accuracy_said(none) == segments.subjects_said(none) == "no number"
    assert segments.arms_verdicts({"frozen": some, "mel": none}).startswith("frozen 0.70, approximate p ")
    assert "; mel + Griffin-Lim not testable" in segments.arms_verdicts({"frozen": some, "mel": none})


def comparisons(by_sound: dict[str, Identified], ten: Identified | None = None) -> Comparisons:
    study = {name: ten if ten and name == segments.TEN else identified(0.6) for name in segments.COMPARED}
    return Comparisons(study, {arm: identified(0.6) for arm in by_sound}, by_sound)


def test_the_primary_comparison_needs_no_correction() -> None:
    found = comparisons({"frozen": identified(0.9)})
    assert next(iter(found.named)) == segments.PRIMARY and len(found.named) == 7
    assert set(found.corrected) == set(found.named) - {segments.PRIMARY}


def sound_of(measured: Identified, noise_free: float, level: float) -> dict[str, Identified]:
    free = {"noise-free": identified(noise_free), "voxel-noise": identified(0.5)}
    return {"measured": measured, **free, **{name: identified(level) for name in CONTROL_LABELS}}


def test_what_the_sound_tells_is_said_for_every_arm() -> None:
    found = {"frozen": sound_of(identified(0.8), 0.7, 0.6), "mel": sound_of(identified(0.55), 0.9, 0.6)}
    p = {
        segments.PRIMARY: 0.01,
        segments.sound_name("frozen"): 0.01,
        segments.sound_name("mel"): 0.5,
        "few": np.nan,
    }
    said = by_sound.sound_said("simulated brains", found, p)
    assert said.startswith("Decoded from simulated brains, before correction: frozen 0.80, approximate p ")
    assert (
        "After correction for 3 comparisons, segments are told apart at .05 in 1 of 2 arms (frozen)." in said
    )
    assert "above that of the sound's level alone in 1 of 2 arms (frozen)" in said
    assert "frozen 0.70; mel + Griffin-Lim 0.90: an arm near one half" in said
    assert (
        "above the noise-free one for frozen, by 0.10 at most, where one segment more or less weighs 0.03"
        in said
    )


def test_nothing_is_corrected_that_was_not_tested_and_no_excess_is_said() -> None:
    few = identified(0.6, n_segments=4)
    said = by_sound.sound_said("measured brains", {"frozen": sound_of(few, 0.9, 0.7)}, {})
    assert "After correction" not in said and "level alone in none of 1 arms" in said
    assert said.endswith("No arm has a measured share above its noise-free one.")
    none = identified(0.6, n_segments=0)
    said = by_sound.sound_said("measured brains", {"frozen": sound_of(none, 0.9, 0.7)}, {})
    assert said.startswith("Too little sound is held out here") and "measured brains" in said


def test_ten_way_identification_implies_bits_or_none() -> None:
    assert bits.fano_said(0.5, 4, significant=False).endswith("implies no bits.")
    assert bits.fano_said(1.0, 4, significant=True) == (
        "Ten-way identification implies at least 0.830 (Fano's inequality)."
    )


def test_bits_of_arms_are_ranges_and_their_growth() -> None:
    through = {
        (arm, condition, most): [Bits(value * most / MOST_COMPONENTS, np.zeros(3))]
        for arm, value in (("mel", -0.5), ("frozen", 2.0))
        for condition in bits.CONDITIONS
        for most in (MOST_COMPONENTS, bits.ALL_COMPONENTS)
    }
    said = bits.arms_values(through)
    assert said["bits_noise_free_few"] == "−0.50 to 2.00" and said["growth_measured"] == "from 0.75 to 6.00"
    assert said["few_components"] == MOST_COMPONENTS and said["all_components"] == 128
    table = bits.arms_table(block(), through)
    assert list(table.frame.columns[1:3]) == ["noise-free, no brain: 16", "noise-free, no brain: 128"]


def test_a_single_brain_has_no_other_to_be_compared_with() -> None:
    whole = SimpleNamespace(held_out=block(study=SimpleNamespace(subjects=[1])))
    assert bits.between_brains(whole) == []  # type: ignore[arg-type]
    whole = SimpleNamespace(
        run=block().run, study=block().study, block=SimpleNamespace(segment_trs=4), held_out=block()
    )
    found = comparisons({"frozen": identified(0.6)}, ten=identified(0.9))
    said = bits.values(whole, {1: Bits(2.0, np.zeros(3))}, found, [])  # type: ignore[arg-type]
    assert np.isnan(float(said["between"])) and said["codec_bits"] == 9000.0 and said["bits"] == 2.0
    assert "implies at least" in str(said["fano"])
    not_found = comparisons({"frozen": identified(0.6)}, ten=identified(0.4))
    said = bits.values(whole, {1: Bits(2.0, np.zeros(3))}, not_found, [])  # type: ignore[arg-type]
    assert str(said["fano"]).endswith("implies no bits.")


@pytest.mark.parametrize(("whole", "words"), [([0.4, 0.6], "0.500"), ([], "none")])
def test_a_ceiling_of_the_whole_run_is_cited_where_there_is_one(whole: list[float], words: str) -> None:
    table = pd.DataFrame({"metric": ["noise_ceiling"] * len(whole) + ["isc"], "value": [*whole, 0.9]})
    held_out = block(run=SimpleNamespace(records=lambda chapter: table))
    subjects = pd.DataFrame(
        {
            "subject": ["1", "2"],
            "envelope": [0.1, 0.2],
            "latents": [0.1, 0.1],
            voxels.ALL: [0.3, 0.5],
            voxels.OTHERS: 0.4,
        }
    )
    said = voxels.values(held_out, subjects, 0.8)
    assert said["whole_ceiling"] == words and said["of_ceiling"] == pytest.approx(0.5)


def test_a_rate_that_missed_is_said_with_what_more_studies_gave() -> None:
    rows = [replace(row, holds=True) for row in calibration.read()]
    n = len(confirmed_rates.single_rates(rows))
    assert calibrated.missed_said(rows, []) == f"All {n} rates of single models and sizes hold the level."
    assert calibrated.failed_said(rows, []) == "nothing"
    rows[0] = replace(rows[0], value=0.08, ci_low=0.06, ci_high=0.1, holds=False)
    assert calibrated.missed_said(rows, []).endswith(
        "null (smooth voxels, 3 subjects) at 0.080 was not simulated again."
    )
    assert calibrated.failed_said(rows, []) != "nothing"
    for holds, verdict in ((True, "it keeps the level."), (False, "it misses again.")):
        fresh = replace(rows[0], value=0.053, ci_low=0.045, ci_high=0.062, n=4000, holds=holds)
        said = calibrated.missed_said(rows, [fresh])
        assert said.startswith(f"Of {n} rates, 1 missed the level alone") and said.endswith(verdict)
        assert "0.053 (0.045 – 0.062)" in said and "4000 other studies" in said
        assert (calibrated.failed_said(rows, [fresh]) == "nothing") is holds
        shown = calibrated.table(rows, [fresh]).frame
        assert shown["n"].tolist()[:2] == [rows[0].n, 4000] and len(shown) == len(rows) + 1


def test_the_calibration_s_table_says_what_failed() -> None:
    rows = calibration.read()
    again = confirmed_rates.read()
    said = calibrated.values(rows, again)
    assert said["calibration_failed"] == "nothing"
    low, high = str(said["one_excerpt_expected"]).split(" to ")
    assert 0 < float(low) < float(high) < 1
    missed = len(confirmed_rates.missed(rows))
    rows[0] = replace(rows[0], holds=False)
    assert calibrated.table(rows, again).frame["holds"].tolist().count("no") == 1 + missed
    failed = calibrated.failed_said(rows, again)
    assert (
        failed.startswith("rejection rate in null studies (smooth voxels, 3 subjects) is 0.")
        and "expected: the interval holds 0.05" in failed
    )


def toy_sounds(
    heard: dict[float, int], monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A block of two sentences, its references and the sounds of one arm; what is read is noted by its first sample."""
    spoken_here = [Passage(0.0, 0.5, "one two", "A", "0"), Passage(0.5, 1.0, "three four", "A", "1")]

    def read(sound: np.ndarray, rate: int, passages: list[Passage], folder: object) -> Reading:
        heard[round(float(sound[0]), 3)] = len(passages)
        errors = 0 if sound[0] == 1 else 1
        return Reading([Words(one, 2, errors, 0, 0) for one in passages], SentencesIdentified(1.0, 2, 0.5))

    monkeypatch.setattr(words.spoken, "read", read)
    monkeypatch.setattr(words.spoken, "find_recogniser", lambda: SimpleNamespace(name="W", licence="MIT"))
    monkeypatch.setattr(words, "passages", lambda held_out: spoken_here)
    monkeypatch.setattr(
        words, "decode_latents", lambda held_out, latents: np.full(100, latents[0, 0], np.float32)
    )
    monkeypatch.setattr(words, "features_of_block", lambda latents, *_: latents)
    monkeypatch.setattr(words, "columns_of_block", lambda held_out: {"codec": "demo-1", "seed": 0})
    monkeypatch.setattr(words, "columns_of_arm", lambda held_out, arm: {"arm": arm})
    run = block().run
    run.settings, run.cache, run.material = SimpleNamespace(seed=0), "here", "play"
    run.encoding = SimpleNamespace(latents=np.array([[7.0, 9.0]]))
    stimulus = SimpleNamespace(sample_rate=100)
    own = np.ones(100, np.float32)
    held_out = block(original=own, run=run, stimulus=stimulus, block=None, grid=None)
    through = SimpleNamespace(noise_free=own * 2, without_brain=own * 3)
    sounds = {"frozen": SimpleNamespace(through=through, voxel_noise=own * 4, measured={1: own * 5})}
    return held_out, {"original": own, "codec only, 6 kbps": own * 6}, sounds


def test_every_sound_of_the_block_is_read_and_its_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: dict[float, int] = {}
    found, records = words.listen(*toy_sounds(heard, monkeypatch))
    assert {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0} <= set(heard) and set(heard.values()) == {2}
    assert list(found.readings) == [
        "original",
        "codec only, 6 kbps",
        words.NOISE_FREE,
        "frozen: voxel noise, no brain",
        "frozen: decoded from subject 1",
        "frozen: no brain",
        *words.spoken.FLOORS.values(),
    ]
    rows = pd.DataFrame([vars(one) for one in records])
    main = rows[rows["metric"] == "words_wrong"]
    assert (
        main["condition"].tolist()
        == ["none"] * 2 + ["noise-free", "voxel-noise", "measured", "measured"] + ["none"] * 4
    )
    assert main["control"].tolist() == ["original", *["none"] * 4, "no-brain", *words.spoken.FLOORS]
    assert main["codec"].isna().tolist()[0] and main["codec"].tolist()[1] == "demo-1"
    assert main["value"].tolist()[:2] == [0.0, 0.5]


def test_few_words_are_said_to_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out, references, sounds = toy_sounds({}, monkeypatch)
    found, _ = words.listen(held_out, references, sounds)
    said = words.said(held_out, found)
    assert said.startswith(
        "Of the original's words 0.00 are read wrong; beyond that, 0.50 (0.50 to 0.50) after the codec"
    )
    assert said.endswith("The block holds 4 words, too few to decide a target by.")
    assert "simulated brains" in words.table(held_out, found).caption
    monkeypatch.setattr(words.spoken, "find_recogniser", lambda: None)
    assert words.said(held_out, found)[1:-1] == NO_RECOGNISER[1:]


def test_one_sound_is_played_once() -> None:
    brains = "simulated brains"
    heard = {"original": np.ones(4, np.float32), "codec only, 6 kbps": np.ones(4, np.float32)}
    for arm, level in (("frozen", 0.5), ("finetuned", 0.6), ("mel", 0.7)):
        heard[clips.decoded_name(arm, brains)] = np.full(4, level, np.float32)
    for arm in ("frozen", "finetuned", "mel"):
        heard[clips.no_brain_name(arm)] = np.full(4, 0.5, np.float32)
    same = clips.like_no_brain(heard, ["frozen", "finetuned", "mel"], brains)
    assert same == ["frozen"]
    given = clips.once(heard, same)
    assert set(heard) - set(given) == {clips.no_brain_name("frozen")}
    assert clips.weights(block(), given) == {
        "codec only, 6 kbps": "demo-1",
        "frozen, decoded from one subject, simulated brains": "demo-1 and the bottleneck trained here",
        "fine-tuned, decoded from one subject, simulated brains": "demo-1, fine-tuned here",
        "mel + Griffin-Lim, decoded from one subject, simulated brains": "the bottleneck trained here",
        "fine-tuned, no brain: the training mean": "demo-1, fine-tuned here",
        "mel + Griffin-Lim, no brain: the training mean": "the bottleneck trained here",
    }


def test_arms_that_decode_to_the_mean_are_named() -> None:
    assert clips.same_said([]) == "No arm decodes this brain to the training mean exactly."
    assert clips.same_said(["codes"]).startswith(
        "The codes arm decodes this brain to the training mean, so that it"
    )
    assert clips.same_said(["codes", "mel"]).startswith(
        "The codes and the mel + Griffin-Lim arms decode this brain"
    )
