"""The held-out block: its sounds, their scores, and what no training may have seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import soundfile
import torch
import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.arms import ARMS, LABELS
from fmri_audio.bottleneck.store import build, features_of
from fmri_audio.bottleneck.training import set_apart
from fmri_audio.decoding import regression
from fmri_audio.edition.edition import Edition
from fmri_audio.experiments import controls, helped
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.sound import scoring

N_TRS = 64
RATE = 24_000


def edition(folder: Path, wave: np.ndarray, codec: Path, kinds: list[tuple[float, float, str]]) -> Edition:
    """An edition about a sound, with two small simulated brains."""
    sound = folder / "sound.wav"
    soundfile.write(sound, wave, RATE)
    table = pd.DataFrame(kinds, columns=["onset", "offset", "kind"])
    table.to_csv(sound.with_suffix(".tsv"), sep="\t", index=False)
    settings = {
        "edition": "mine", "codec": str(codec), "stimulus": {"source": str(sound)},
        "windows": {"seconds": 8, "n_windows": 3, "clip_seconds": 2},
        "study": {"n_subjects": 2, "shape": [20, 16, 16]},
        "training": {"rank": 8, "steps": 4, "epochs": 2, "gap_trs": 12, "seeds": 2},
    }  # fmt: skip
    path = folder / "mine.yml"
    path.write_text(yaml.safe_dump(settings))
    return Edition.open(path, build=folder / "build")


@pytest.fixture(scope="module")
def held_out(
    tmp_path_factory: pytest.TempPathFactory, speech: Callable[..., np.ndarray], tiny_checkpoint_file: Path
) -> HeldOut:
    wave = speech(N_TRS * 1.5)
    return HeldOut(edition(tmp_path_factory.mktemp("held-out"), wave, tiny_checkpoint_file, [(0, 96, "speech")]))


def test_the_block_is_the_end_of_the_sound_behind_a_gap(held_out: HeldOut) -> None:
    (first, last), trained = held_out.block, held_out.split.train
    assert trained.max() + held_out.split.gap < first < last <= N_TRS
    assert held_out.seconds == (1.5 * first, 1.5 * last)
    np.testing.assert_array_equal(
        held_out.original, held_out.stimulus.waveform[36_000 * first : 36_000 * last]
    )


def test_every_sound_is_as_long_as_the_block_and_they_differ(held_out: HeldOut) -> None:
    sounds = {
        "quantised": held_out.codec_only(),
        "plain": held_out.codec_only(quantised=False),
        "frozen": held_out.noise_free("frozen"),
        "finetuned": held_out.noise_free("finetuned"),
        "again": held_out.requantised(),
        "mean": held_out.without_brain("frozen"),
    }
    assert {wave.shape for wave in sounds.values()} == {held_out.original.shape}
    del sounds["again"]  # a codec of random weights has a single code, whatever it is given
    assert len({wave.tobytes() for wave in sounds.values()}) == len(sounds)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_gives_the_block_back_from_its_units(held_out: HeldOut, arm: str) -> None:
    assert list(held_out.arms) == list(ARMS)
    wave = held_out.noise_free(arm)
    assert wave.shape == held_out.original.shape and np.isfinite(wave).all()
    n_trs = held_out.block[1] - held_out.block[0]
    assert held_out.own_code(arm).shape == held_out.read_code(arm).shape == (n_trs, 8)
    assert held_out.arms[arm].volumes.shape == (N_TRS, held_out.n_units)
    assert not np.allclose(held_out.own_code(arm), held_out.read_code(arm), atol=1e-2)  # volumes are slow


def test_start_is_what_training_began_with_and_all_are_scored_on_validation_sound(held_out: HeldOut) -> None:
    scores = helped.compare(held_out, "frozen")
    assert set(scores) == {helped.TRAINED, helped.UNTRAINED, helped.LINEAR}
    # Trained with the step kept that it began with, an arm is its own start.
    model = held_out.trained("frozen")
    began = build("frozen", held_out.material, held_out.run.settings.seed)
    fitted, _ = set_apart(held_out.split, held_out.settings.validation_fraction)
    began.start(features_of(began, held_out.material), fitted, held_out.run.settings.seed)
    original = held_out.arms["frozen"]
    held_out.arms["frozen"] = dataclasses.replace(model, model=began)
    try:
        again = helped.compare(held_out, "frozen")
    finally:
        held_out.arms["frozen"] = original
    for metric in helped.DECIDING:
        pd.testing.assert_series_equal(again[helped.TRAINED][metric], scores[helped.UNTRAINED][metric])


@pytest.mark.parametrize("name", ["mel", "complex-stft"])
def test_every_kind_of_feature_has_a_code_without_training(held_out: HeldOut, name: str) -> None:
    scores = helped.compare(held_out, name)
    assert all(frame["mel_distance_db"].notna().all() for frame in scores.values())
    assert not scores[helped.LINEAR]["mel_distance_db"].equals(scores[helped.UNTRAINED]["mel_distance_db"])


def test_codes_stand_beside_their_unigram(held_out: HeldOut) -> None:
    bits = held_out.code_bits()
    assert sorted(set(bits["part"])) == ["held-out", "training"]
    assert bits["codebook"].max() == len(held_out.material.codes) == 8  # at 6 kbps
    assert (bits[["bits", "unigram_bits"]] >= 0).all(axis=None)


def test_the_two_arms_compared_are_trained_from_every_seed(held_out: HeldOut) -> None:
    assert list(held_out.repeated) == ["frozen", "finetuned"]
    for name, several in held_out.repeated.items():
        first = held_out.run.settings.seed
        assert [one.seed for one in several] == [first, first + 1]
        assert several[0] is held_out.arms[name]
        assert not np.array_equal(several[0].volumes, several[1].volumes)


def test_a_training_is_evaluated_as_its_arm_is(held_out: HeldOut) -> None:
    for arm, (first, second) in held_out.repeated.items():
        for one in (first, second):
            assert held_out.trained(one) is one and held_out.describes(one) == held_out.describes(arm)
        np.testing.assert_array_equal(held_out.noise_free(first), held_out.noise_free(arm))
        assert not np.array_equal(held_out.noise_free(second), held_out.noise_free(arm))
        np.testing.assert_array_equal(held_out.own_code(second), second.code[slice(*held_out.block)])
        assert not np.array_equal(held_out.noise_of(second).residuals, held_out.noise_of(arm).residuals)
        several = [list(held_out.decoded(one)) for one in (arm, second)]
        assert [[one.arm for one in decoded] for decoded in several] == [[arm] * 2] * 2
        assert not np.array_equal(several[0][0].heard, several[1][0].heard)
        assert held_out.decoded_with_noise(second).heard.shape == several[1][0].heard.shape
    second = held_out.repeated["frozen"][1]
    records = held_out.records(
        held_out.score(held_out.noise_free(second), ("stoi",)), condition="noise-free", control="repeated",
        seed=second.seed, wanted=("stoi",), **held_out.describes(second),
    )  # fmt: skip
    assert {(one.metric, one.seed, one.arm) for one in records} == {("stoi", second.seed, "frozen")}


def test_controls_are_sounds_of_the_block_and_differ(held_out: HeldOut) -> None:
    for arm in ("mel", "frozen"):
        made = controls.sounds(held_out, arm)
        assert list(made) == list(controls.LABELS)
        assert {name: len(several) for name, several in made.items()} == {
            "envelope-only": 1, "speech-only": 1, "random-sound": controls.N_RANDOM,
        }  # fmt: skip
        every = [wave for several in made.values() for wave in several]
        assert {wave.shape for wave in every} == {held_out.original.shape}
        # All of this recording is speech, so that speech or silence says nothing: no brain.
        nothing = held_out.without_brain(arm)
        assert np.square(made["speech-only"][0] - nothing).mean() < 1e-4 * np.square(nothing).mean()
        level, one, other = made["envelope-only"][0], *made["random-sound"]
        assert len({wave.tobytes() for wave in (level, one, other, held_out.without_brain(arm))}) == 4


def test_windows_hold_the_share_of_the_block_that_they_last(held_out: HeldOut) -> None:
    lengths = [window.offset - window.onset for window in held_out.windows]
    assert 0 < held_out.scored_share <= 1
    assert held_out.scored_share == pytest.approx(sum(lengths) * RATE / len(held_out.original))


def test_weights_are_counted_by_where_they_are(held_out: HeldOut) -> None:
    table = held_out.parameters().set_index("arm")
    assert list(table.index) == list(LABELS.values())
    assert table.loc["frozen", "codec, trained"] == 0 < table.loc["fine-tuned", "codec, trained"]
    assert table.loc["frozen", "codec, frozen"] == table.loc["fine-tuned", "codec, trained"]
    assert table.loc["frozen", "bottleneck"] == table.loc["fine-tuned", "bottleneck"]


def test_records_name_the_arm_s_features_and_the_codes_bandwidth(held_out: HeldOut) -> None:
    assert held_out.describes("mel") == {"arm": "mel", "representation": "mel", "codec": None}
    assert held_out.describes("codes") == {
        "arm": "codes", "representation": "encodec-codes", "bandwidth_kbps": 6.0,
    }  # fmt: skip


def test_identification_turns_the_sound_over_the_whole_run(held_out: HeldOut) -> None:
    several = list(held_out.decoded("mel"))
    found = held_out.identified("mel", several)
    perfect = held_out.identified("mel", [dataclasses.replace(one, code=one.true) for one in several])
    assert found.per_subject.shape == (2, 1 + N_TRS - 2 * held_out.split.gap - 1)
    assert perfect.n_segments + perfect.n_left_out == (held_out.block[1] - held_out.block[0]) // 4
    if perfect.n_segments:
        assert perfect.accuracy == 1


def test_the_codec_alone_is_the_package_s_decoder_begun_at_the_block(held_out: HeldOut) -> None:
    first = held_out.block[0]
    frame, into = divmod(first * 36_000, 320)  # an odd TR begins in the middle of a frame
    latents = torch.from_numpy(held_out.run.encoding.latents[None, :, frame:])
    with torch.no_grad():
        expected = held_out.run.checkpoint.model.decoder(latents)[0, 0, into:].numpy()
    found = held_out.codec_only(quantised=False)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-5)


def test_the_clip_lies_in_the_block(held_out: HeldOut) -> None:
    clip = held_out.clip
    assert 0 <= clip.onset < clip.offset <= len(held_out.original) / RATE
    assert clip.offset - clip.onset == pytest.approx(2)
    heard = held_out.hear({"original": held_out.original})["original"]
    assert len(heard) == 2 * RATE


def test_sound_without_a_brain_is_the_same_for_every_brain_and_knows_no_moment(held_out: HeldOut) -> None:
    code = held_out.mean_code("frozen")
    assert np.ptp(code, axis=0).max() == 0
    np.testing.assert_allclose(
        code[0], held_out.read_codes("frozen")[held_out.split.train].mean(axis=0), rtol=1e-6
    )


def test_decodes_are_of_the_block_and_of_single_subjects(held_out: HeldOut) -> None:
    several = list(held_out.decoded("frozen"))
    assert [one.subject for one in several] == list(held_out.study.subjects)
    n_trs = held_out.block[1] - held_out.block[0]
    for one in several:
        assert one.code.shape == one.true.shape == (n_trs, 8)
        assert one.heard.shape == one.code.shape and np.isfinite([one.heard, one.code]).all()
    assert not np.array_equal(several[0].code, several[1].code)
    np.testing.assert_array_equal(several[0].true, several[1].true)


def test_every_condition_predicts_the_code_that_the_way_back_was_trained_behind(
    held_out: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, targets = regression.decode_units, []

    def watched(bold: np.ndarray, units: np.ndarray, *rest: object, **options: object) -> object:
        targets.append(units)
        return predict(bold, units, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(regression, "decode_units", watched)
    [*_, from_a_brain] = held_out.decoded("frozen")
    for units in targets:
        np.testing.assert_array_equal(units[:, :8], held_out.read_codes("frozen"))
        np.testing.assert_array_equal(units[:, 8:], held_out.arms["frozen"].code)
    assert len(targets) == 2 and from_a_brain.heard.shape == held_out.decoded_with_noise("frozen", 0.0).heard.shape
    between = slice(held_out.split.train[-1] + 1, held_out.block[0])
    assert np.isnan(held_out.read_codes("frozen")[between]).all()
    through = held_out.of_code("frozen", held_out.read_code("frozen"))
    np.testing.assert_array_equal(through, held_out.noise_free("frozen"))


def test_a_little_noise_of_voxels_changes_little_and_much_of_it_leaves_the_mean(held_out: HeldOut) -> None:
    none, little, much = (held_out.decoded_with_noise("mel", level) for level in (0.0, 0.01, 100.0))
    assert none.subject is None and none.code.shape == none.true.shape
    spread = [float(np.square(one.heard - held_out.mean_code("mel")).mean()) for one in (none, little, much)]
    assert np.square(little.heard - none.heard).mean() < 0.1 * spread[0]
    assert spread[2] < 0.05 * spread[0]
    # Without noise nothing but the gain is left to learn, and that is one, but for which volumes standardise.
    own = held_out.read_code("mel")
    assert np.square(none.heard - own).mean() < 1e-3 * np.square(own - held_out.mean_code("mel")).mean()
    assert held_out.noise_of("mel").reliability.shape == (held_out.n_units,)


def test_bits_fall_with_noise_and_a_code_that_never_changes_has_none(held_out: HeldOut) -> None:
    volumes = held_out.noisy_volumes("mel", 0.0)
    assert volumes.shape == held_out.arms["mel"].volumes.shape
    np.testing.assert_allclose(volumes[held_out.split.bold_train_rows].std(axis=0), 1, atol=2e-2)
    own, noisy = (held_out.bits("mel", code) for code in (
        held_out.own_code("mel"), held_out.decoded_with_noise("mel", 30.0).code))  # fmt: skip
    read = held_out.bits("mel", held_out.read_code("mel"))
    assert own.raw > read.raw > noisy.raw >= 0
    assert held_out.bits("mel", held_out.read_code("mel"), 2).raw < read.raw
    assert held_out.bits("mel", held_out.mean_code("mel")).raw == 0


def test_the_right_segment_scores_above_the_wrong_one(held_out: HeldOut) -> None:
    own, other = held_out.score(held_out.original), held_out.score_other_segment(held_out.original)
    assert len(own) == len(other) == len(held_out.windows) >= 2
    assert (own["stoi"] > 0.99).all()
    assert (other["stoi"] < 0.95).all() and (other["si_sdr_db"] < 0).all()


def test_a_single_window_has_no_wrong_segment(held_out: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(held_out), "windows", held_out.windows[:1])
    [row] = held_out.score_other_segment(held_out.original).to_dict("records")
    assert np.isnan([row[metric] for metric in scoring.METRICS]).all()


def test_records_say_how_wide_the_bottleneck_is_where_there_is_one(held_out: HeldOut) -> None:
    scores = held_out.score(held_out.original)
    through = held_out.records(scores, arm="frozen", condition="noise-free", control="none")
    around = held_out.records(scores, arm="roundtrip", condition="none", control="none")
    assert {(r.units, r.rank, r.fold) for r in through} == {(held_out.n_units, 8, "held-out")}
    assert {(r.units, r.rank, r.fold) for r in around} == {(None, None, "held-out")}


def test_brains_of_another_clock_are_refused(held_out: HeldOut) -> None:
    slower = Edition(
        held_out.run.settings.model_copy(update={"tr": 2 * held_out.run.settings.tr}), 6.0, held_out.run.build
    )
    slower.__dict__.update(stimulus=held_out.stimulus.__class__(
        **{**vars(held_out.stimulus), "tr": 2 * held_out.stimulus.tr}), study=held_out.study)  # fmt: skip
    with pytest.raises(UserError, match="its TR is 1.5 s, the edition's 3 s"):
        HeldOut(slower)


def test_a_block_without_anything_to_score_is_refused(
    tmp_path: Path, speech: Callable[..., np.ndarray], tiny_checkpoint_file: Path
) -> None:
    kinds = [(0, 60, "speech"), (60, 96, "silence")]
    run = edition(tmp_path, speech(N_TRS * 1.5), tiny_checkpoint_file, kinds)
    with pytest.raises(UserError, match="no stretch of speech, music or ambience long enough"):
        _ = HeldOut(run).windows


def resonances(n_trs: int, seed: int) -> np.ndarray:
    """Noise whose three resonances wander from one half of a TR to the next, at one level."""
    rng = np.random.default_rng(seed)
    hertz = np.repeat([[600], [1500], [2800]], 2 * n_trs, axis=1)
    hertz = hertz + 250 * (rng.standard_normal((3, 2 * n_trs)) + rng.standard_normal((3, 2 * n_trs)))
    parts = []
    for moment in hertz.T:
        sound = rng.standard_normal(18_000)
        for centre in np.clip(moment, 200, 3500):
            sound = scipy.signal.lfilter([1], [1, -1.9 * np.cos(2 * np.pi * centre / RATE), 0.9025], sound)
        parts.append(sound / sound.std())
    return np.asarray(0.05 * np.concatenate(parts), np.float32)


@pytest.fixture(scope="module")
def long_block(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_file: Path) -> HeldOut:
    """A block of many segments; no arm is trained for it."""
    sound = resonances(240, 0)
    return HeldOut(edition(tmp_path_factory.mktemp("long"), sound, tiny_checkpoint_file, [(0, 360, "speech")]))


def test_noisy_copies_are_identified_by_their_sound_whatever_their_level_and_colour(long_block: HeldOut) -> None:
    noise = np.random.default_rng(0).standard_normal((2, len(long_block.original)))
    level = long_block.original.std()
    found = long_block.identified_by_sound([
        long_block.original, 1e-3 * long_block.original, scipy.signal.lfilter([1], [1, -0.7], long_block.original),
        *(long_block.original + level * np.float32(one) for one in noise),
    ])  # fmt: skip
    assert found.per_subject.shape == (5, 1 + 240 - 2 * 12 - 1) and found.n_segments >= 10
    assert (found.per_subject[:3, 0] > 0.99).all() and (found.per_subject[3:, 0] > 0.9).all()
    assert found.p == found.smallest_p


def test_unrelated_sound_is_identified_no_better_than_by_chance(long_block: HeldOut) -> None:
    unrelated = [resonances(240, seed)[: len(long_block.original)] for seed in range(1, 9)]
    found = [long_block.identified_by_sound([one]) for one in unrelated]
    assert abs(np.mean([one.accuracy for one in found]) - 0.5) < 0.08
    assert sum(one.p <= 0.05 for one in found) <= 2  # of 8; more in 1 of 200 runs
    silent = long_block.identified_by_sound([np.zeros_like(long_block.original)])
    assert silent.accuracy == 0.5
