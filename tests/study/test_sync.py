"""Films on the scans' clock: which second of which film belongs to which volume, and whether brains follow it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.sound import audio
from fmri_audio.study import sync
from fmri_audio.study.envelope import envelope_response
from fmri_audio.study.facts import Run, StudyFile

from . import made

TR, RATE = made.TR, made.RATE


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A film per run of the made study, in two containers."""
    folder = tmp_path_factory.mktemp("films")
    first = made.write_film(folder / "part1.m4v", made.bursts(61 * 1.5 + 0.7, 1))
    second = made.write_film(folder / "part2.mkv", made.bursts(60 * 1.5, 2))
    return {"1": first, "2": second}


@pytest.fixture
def facts() -> StudyFile:
    runs = [Run(name="1", first_tr=0, n_trs=61, skip_trs=5), Run(name="2", first_tr=61, n_trs=60, skip_trs=4)]
    return StudyFile(name="made", shift_trs=3, subjects=[1], runs=runs)


def second_of(film: Path, tr: int) -> np.ndarray:
    """The sound of one TR of a film, read by itself."""
    waveform, _ = audio.to_mono(audio.read_sound(film))
    return waveform[tr * 36_000 : (tr + 1) * 36_000]


def given(films: dict[str, Path], *names: str) -> dict[str, str]:
    return {name: str(films[name]) for name in names}


def test_each_run_begins_with_its_own_film_without_what_is_skipped(
    films: dict[str, Path], facts: StudyFile
) -> None:
    one, two = sync.run_sounds(Path("unused"), facts, None, given(films, "2", "1"))
    assert one.block == (5, 61) and two.block == (65, 121)
    for sound, film, skip in ((one, films["1"], 5), (two, films["2"], 4)):
        assert len(sound.waveform) == 36_000 * (sound.block[1] - sound.block[0])
        np.testing.assert_array_equal(sound.waveform[:36_000], second_of(film, skip))
        last = sound.block[1] - sound.run.first_tr - 1
        np.testing.assert_array_equal(sound.waveform[-36_000:], second_of(film, last))
    said = "; ".join(one.steps)
    assert "read part1.m4v (M4V, AAC; 92.2" in said and "left out the first 5 TRs of run 1" in said
    assert "cut 0.7" in said and "took TRs 6 to 61 of run 1, TRs 6 to 61 of the scans" in said
    assert "took TRs 5 to 60 of run 2, TRs 66 to 121 of the scans" in "; ".join(two.steps)


@pytest.mark.parametrize("begins", [0, 2])
@pytest.mark.parametrize("container", ["m4v", "mkv"])
def test_a_films_sound_is_heard_when_it_was_played(tmp_path: Path, container: str, begins: int) -> None:
    wave = made.bursts(8)
    film = made.write_film(tmp_path / f"film.{container}", wave, begins=begins)
    heard, _ = audio.to_mono(audio.read_sound(film))
    start, n = begins * RATE, 6 * RATE
    # The codec's first window reaches a little ahead of the sound.
    assert (heard[: max(0, start - RATE // 10)] == 0).all()
    spectra = np.conj(np.fft.rfft(wave[:n], 2 * n)) * np.fft.rfft(heard[start : start + n], 2 * n)
    lag = int(np.fft.irfft(spectra).argmax())
    assert min(lag, 2 * n - lag) <= RATE // 1000  # a container's clock may count milliseconds


def test_a_run_that_another_follows_ends_with_a_whole_frame(films: dict[str, Path], facts: StudyFile) -> None:
    one, two = sync.run_sounds(Path("unused"), facts, [7, 121], given(films, "1", "2"))
    assert one.block == (6, 60) and two.block == (65, 121)  # 55 TRs would be 6187.5 frames
    assert "run 1 gives up its last TR" in one.steps[-1]
    [alone] = sync.run_sounds(Path("unused"), facts, [7, 121], given(films, "1"))
    assert alone.block == (6, 61) and "gives up" not in "; ".join(alone.steps)
    assert "run 2 has no film and is left out" in alone.steps


def test_one_film_is_that_of_the_first_run_used(films: dict[str, Path], facts: StudyFile) -> None:
    [second] = sync.run_sounds(Path("unused"), facts, [62, 121], str(films["2"]))
    assert second.run.name == "2" and second.block == (65, 121)


def test_the_frame_rate_is_the_codecs(tiny_checkpoint: Checkpoint) -> None:
    assert tiny_checkpoint.model.frame_rate == audio.FRAME_RATE


def test_a_film_that_ends_within_the_last_tr_leaves_it_out(tmp_path: Path, facts: StudyFile) -> None:
    film = tmp_path / "short.flac"
    soundfile.write(film, made.bursts(61 * 1.5 - 0.5), RATE)
    [sound] = sync.run_sounds(tmp_path, facts, [1, 61], str(film))
    assert sound.block == (5, 60)
    assert "short.flac ends 0.50 s before run 1: its last TR is left out" in sound.steps


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(61 * 1.5 + 2, "93.50 s, longer than run 1"), (61 * 1.5 - 1.6, "89.90 s, shorter than run 1")],
)
def test_more_than_a_tr_too_long_or_short_is_refused(
    tmp_path: Path, facts: StudyFile, seconds: float, said: str
) -> None:
    film = tmp_path / "film.flac"
    soundfile.write(film, made.bursts(seconds), RATE)
    with pytest.raises(
        UserError, match=f"film.flac lasts {said} by more than a TR .61 TRs of 1.5 s: 91.50 s"
    ):
        sync.run_sounds(tmp_path, facts, None, str(film))


def test_what_names_no_run_or_no_film_is_refused(
    films: dict[str, Path], facts: StudyFile, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="there is no run 3; the runs of made are 1, 2"):
        sync.run_sounds(tmp_path, facts, None, {"3": str(films["1"])})
    with pytest.raises(UserError, match="names no sound for run 1; set stimulus.source"):
        sync.run_sounds(tmp_path, facts, None, None)
    with pytest.raises(UserError, match="hold nothing of run 2, which part2.mkv was given for"):
        sync.run_sounds(tmp_path, facts, [6, 61], given(films, "1", "2"))
    soundfile.write(tmp_path / "silent.wav", np.zeros(61 * 36_000), RATE)
    with pytest.raises(UserError, match="silent.wav is silent"):
        sync.run_sounds(tmp_path, facts, None, str(tmp_path / "silent.wav"))


@pytest.mark.parametrize("lead", [Fraction(3), Fraction(-1, 2)])
def test_a_sound_that_began_before_or_after_the_run_is_cut_or_padded(tmp_path: Path, lead: Fraction) -> None:
    sound = tmp_path / "story.wav"
    wave = made.bursts(50 * 1.5 + 5)
    soundfile.write(sound, wave, RATE, subtype="FLOAT")
    run = Run(name="story", first_tr=0, n_trs=50, stimulus="story.wav", stimulus_lead=lead)
    facts = StudyFile(name="made", shift_trs=0, subjects=["001"], runs=[run])
    [got] = sync.run_sounds(tmp_path, facts, None, None)
    assert got.block == (0, 50) and got.starts == lead
    expected = wave[72_000:] if lead > 0 else np.pad(wave, (12_000, 0))
    np.testing.assert_allclose(got.waveform, expected[: 50 * 36_000], atol=1e-6)
    assert ("cut 3.00 s before" if lead > 0 else "put 0.50 s of silence") in "; ".join(got.steps)


def test_one_sound_for_all_runs_is_cut_by_the_joined_scans(tmp_path: Path, facts: StudyFile) -> None:
    wave = made.bursts(125 * 1.5)
    one, two = sync.joined_sounds(wave, tmp_path / "all.flac", ["read"], facts, None)
    np.testing.assert_array_equal(one.waveform, wave[5 * 36_000 : 61 * 36_000])
    np.testing.assert_array_equal(two.waveform, wave[65 * 36_000 : 121 * 36_000])
    assert two.starts == 65 * TR and "read" in one.steps and "read" not in two.steps
    with pytest.raises(UserError, match="all.flac lasts 150.00 s, the 121 TRs of made 181.50 s"):
        sync.joined_sounds(wave[: 150 * RATE], tmp_path / "all.flac", [], facts, None)


def expected(shift: int, n_trs: int = 300, seed: int = 3) -> np.ndarray:
    return envelope_response(made.bursts(n_trs * 1.5, seed), RATE, [(0, n_trs)], TR, shift)


def slow_noise(n_trs: int, seed: int) -> np.ndarray:
    """Autocorrelated noise as BOLD has it."""
    rng = np.random.default_rng(seed)
    values = np.zeros(n_trs + 50)
    for k, fresh in enumerate(rng.standard_normal(n_trs + 50)):
        values[k] = 0.7 * values[k - 1] + fresh
    return values[50:]


def test_the_response_comes_as_much_earlier_as_the_study_is_shifted() -> None:
    click = np.zeros(60 * 36_000, np.float32)
    click[:36_000] = 1
    unshifted, shifted, late = (envelope_response(click, RATE, [(0, 60)], TR, shift) for shift in (0, 3, -2))
    np.testing.assert_allclose(shifted[:57], unshifted[3:], atol=1e-12)
    assert unshifted.argmax() == 3  # the response peaks 5 s after a moment; volume 3 was acquired at 5.25 s
    np.testing.assert_allclose(late[2:], unshifted[:58], atol=1e-12)
    assert (late[:2] == 0).all()


def test_a_brain_that_follows_is_recognised_at_the_right_lag() -> None:
    truth = expected(shift=3)
    brain = truth / truth.std() + slow_noise(300, 1)
    check = sync.envelope_check(truth, brain, TR)
    assert check.follows and not check.elsewhere and abs(check.best_lag) <= 1 and check.correlation > 0.4
    wrong = sync.envelope_check(expected(shift=-1), brain, TR)
    assert wrong.elsewhere and wrong.best_lag == -4 and wrong.best_correlation > wrong.correlation


def test_brains_that_do_not_follow_are_hardly_ever_taken_to() -> None:
    truth = expected(shift=3)
    checks = [sync.envelope_check(truth, slow_noise(300, seed), TR) for seed in range(300)]
    # 5 % each by construction of the thresholds; the binomial's 99.9 % interval of 300 draws.
    assert 0.015 < np.mean([check.follows for check in checks]) < 0.1
    assert np.mean([check.elsewhere for check in checks]) < 0.1


def test_too_short_a_run_gets_no_verdict() -> None:
    check = sync.envelope_check(expected(3, 100), expected(3, 100), TR)
    assert check.correlation == pytest.approx(1) and np.isnan(check.threshold) and not check.follows
