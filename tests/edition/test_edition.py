"""An edition at work: sound prepared, encoded once, and everything a user can get wrong refused early."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml

from fmri_audio.base import results
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import load_settings
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.edition import edition
from fmri_audio.edition.edition import Edition
from fmri_audio.edition.resolve import resolve as resolve_edition
from fmri_audio.sound import audio
from fmri_audio.study import stimulus
from programs.__main__ import main as program
from tests.base.test_stored import DAMAGES

Maker = Callable[..., np.ndarray]

SECONDS = 63.1
"""42 whole TRs of 1.5 s and a little."""

SHORT = {"lag_trs": [4], "gap_trs": 9, "cv_folds": 2}
"""Settings of training under which 42 TRs are enough."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, speech: Maker, music: Maker) -> Path:
    """A stereo recording at 44.1 kHz with a table beside it: speech, then music, then speech."""
    path = tmp_path_factory.mktemp("recording") / "talk.wav"
    mono = np.concatenate([speech(30.0, 44_100), music(8.0, 44_100), speech(SECONDS - 38, 44_100, seed=1)])
    soundfile.write(path, np.stack([mono, 0.5 * mono], axis=1), 44_100)
    rows = [(0, 30, "speech"), (30, 38, "music"), (38, SECONDS, "speech")]
    pd.DataFrame(rows, columns=["onset", "offset", "kind"]).to_csv(
        path.with_suffix(".tsv"), sep="\t", index=False
    )
    return path


def write(folder: Path, source: Path | str, codec: Path | str = "demo", **values: Any) -> Path:
    """Write an edition file about a recording."""
    path = folder / "mine.yml"
    stimulus = {"source": str(source), **values.pop("stimulus", {})}
    path.write_text(yaml.safe_dump({"edition": "mine", "codec": str(codec), "stimulus": stimulus, **values}))
    return path


@pytest.fixture
def opened(tmp_path: Path, recording: Path, tiny_checkpoint_file: Path) -> Edition:
    return Edition.open(write(tmp_path, recording, tiny_checkpoint_file), build=tmp_path / "build")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_recording_is_prepared_and_says_how(opened: Edition) -> None:
    stimulus = opened.stimulus
    assert stimulus.n_trs == 42 and stimulus.runs == [(0, 42)]
    assert stimulus.waveform.shape == (42 * 36_000,) and stimulus.waveform.dtype == np.float32
    assert stimulus.steps == [
        "read talk.wav (WAV, PCM_16; 63.10 s)",
        "mixed 2 channels to mono (mean)",
        "resampled from 44100 to 24000 Hz",
        "cut the last 0.10 s, less than a TR",
    ]
    assert stimulus.segment_source == "the table talk.tsv"
    assert stimulus.segments["offset"].iloc[-1] == 63.0
    assert files(opened.build / "stimulus") == ["done.json", "segments.tsv", "waveform.npy"]
    assert (opened.build / "stimulus.sha256").is_file()


def test_the_prepared_sound_is_used_again(opened: Edition, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened.stimulus
    monkeypatch.setattr(stimulus, "prepare", lambda *_: pytest.fail("prepared twice"))
    again = Edition(opened.settings, 6.0, opened.build).stimulus
    np.testing.assert_array_equal(again.waveform, first.waveform)
    pd.testing.assert_frame_equal(again.segments, first.segments)
    assert (again.steps, again.runs, again.tr) == (first.steps, first.runs, first.tr)


@pytest.mark.parametrize("name", ["waveform.npy", "segments.tsv", "done.json"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_prepared_sound_that_is_not_what_was_stored_is_prepared_anew(
    opened: Edition, name: str, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    first = opened.stimulus
    whole = {path: path.read_bytes() for path in (opened.build / "stimulus").iterdir()}
    damage(opened.build / "stimulus" / name)
    again = Edition(opened.settings, 6.0, opened.build).stimulus
    np.testing.assert_array_equal(again.waveform, first.waveform)
    pd.testing.assert_frame_equal(again.segments, first.segments)
    assert whole == {path: path.read_bytes() for path in (opened.build / "stimulus").iterdir()}
    assert capsys.readouterr().err.count("made again") == 1
    third = Edition(opened.settings, 6.0, opened.build)
    assert third.stimulus.steps == first.steps and capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_encoding_and_decoded_sound_that_are_not_what_was_stored_are_made_again(
    opened: Edition, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    codes, latents, decoded = opened.codes, opened.encoding.latents, opened.decoded
    kept = sorted(opened.cache.glob("*.np[yz]"))
    assert len(kept) == 2
    for path in kept:
        damage(path)
    again = Edition(opened.settings, 6.0, opened.build)
    np.testing.assert_array_equal(again.codes, codes)
    np.testing.assert_array_equal(again.encoding.latents, latents)
    np.testing.assert_array_equal(again.decoded, decoded)
    assert capsys.readouterr().err.count("made again") == 2


def test_another_excerpt_is_prepared_anew(opened: Edition) -> None:
    whole = opened.stimulus
    wanted = opened.settings.stimulus.model_copy(update={"first_tr": 1, "n_trs": 40})
    part = Edition(opened.settings.model_copy(update={"stimulus": wanted}), 6.0, opened.build).stimulus
    np.testing.assert_array_equal(part.waveform, whole.waveform[36_000 : 41 * 36_000])
    assert part.segments["onset"].tolist() == [0, 28.5, 36.5]
    assert part.steps[-1] == "took TRs 2 to 41 of 42"


def test_without_a_table_segments_are_detected(tmp_path: Path, recording: Path) -> None:
    alone = tmp_path / "alone.wav"
    alone.write_bytes(recording.read_bytes())
    stimulus = Edition.open(write(tmp_path, alone), build=tmp_path / "b").stimulus
    assert stimulus.segment_source.startswith("detected")
    assert {"speech", "music"} <= set(stimulus.segments["kind"])


def test_a_given_table_comes_before_the_one_beside(tmp_path: Path, recording: Path) -> None:
    table = tmp_path / "given.tsv"
    table.write_text("onset\toffset\tkind\n0\t60\tambience\n")
    path = write(tmp_path, recording, stimulus={"segments": str(table)})
    stimulus = Edition.open(path, build=tmp_path / "b").stimulus
    assert stimulus.segment_source == "the table given.tsv"
    assert stimulus.segments["kind"].tolist() == ["ambience"]
    table.write_text("onset\toffset\tkind\n100\t160\tspeech\n")
    with pytest.raises(UserError, match="given.tsv has no segment within talk.wav"):
        Edition.open(path, build=tmp_path / "b").stimulus  # noqa: B018


def test_windows_are_of_the_kind_asked_for(opened: Edition) -> None:
    windows = opened.windows()
    assert [w.kind for w in windows] == ["speech"] * 5
    assert all(w.offset - w.onset == pytest.approx(10) for w in windows)
    assert [(w.onset, w.offset) for w in opened.windows("music")] == [(30, 38)]
    assert len(opened.windows(count=2)) == 2
    assert all(w.onset >= 38 for w in opened.windows(within=(38.0, 63.0)))


def test_the_play_joins_its_parts(tmp_path: Path, speech: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stimulus"
    folder.mkdir()
    for part, seconds in ((1, 45.7), (2, 31.0)):
        soundfile.write(folder / f"part{part}.ogg", speech(seconds, seed=part), 24_000)
    (folder / "segments.tsv").write_text(
        "part\tonset\toffset\tkind\tspeaker\ttext\n"
        "1\t0\t44\tspeech\tAnn\thello\n1\t44\t45.7\tmusic\t\t\n2\t0\t2\tsilence\t\t\n2\t2\t31\tspeech\tBob\tyes\n"
    )
    monkeypatch.setattr(stimulus, "project_root", lambda: tmp_path)
    whole = stimulus.prepare(load_settings("demo", {"stimulus.n_trs": None}))
    assert whole.runs == [(0, 30), (30, 20)] and whole.n_trs == 50
    assert whole.segments["onset"].tolist() == [0, 44, 45, 47]
    assert whole.segments["offset"].tolist() == [44, 45, 47, 75]
    assert whole.segments["speaker"].tolist() == ["Ann", "", "", "Bob"]
    second = audio.read_sound(folder / "part2.ogg").samples[0]
    np.testing.assert_array_equal(whole.waveform[30 * 36_000 :], second[: 20 * 36_000])
    with pytest.raises(UserError, match=r"stimulus.first_tr: 9 leaves 21 TRs .* a multiple of 2 is left"):
        stimulus.prepare(load_settings("demo", {"stimulus": {"first_tr": 9, "n_trs": 40}}))
    longer = stimulus.prepare(load_settings("demo", {"stimulus.n_trs": None, "tr": "1.1"}))
    assert longer.runs == [(0, 40), (40, 28)], "the first part gives up its 41st TR: 82.5 frames each"
    part = stimulus.prepare(load_settings("demo", {"stimulus": {"first_tr": 10, "n_trs": 40}}))
    assert part.runs == [(0, 20), (20, 20)]
    assert part.segments["onset"].tolist() == [0, 29, 30, 32]


def test_encoding_is_computed_once_for_all_bandwidths(
    opened: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = opened.encoding
    frames = 42 * 225 // 2
    assert encoding.latents.shape == (128, frames) and encoding.latents.dtype == np.float32
    assert encoding.codes.shape == (32, frames) and encoding.codes.dtype == np.int64
    monkeypatch.setattr(edition, "_encode", lambda *_: pytest.fail("encoded twice"))
    narrow = Edition(opened.settings, 1.5, opened.build)
    np.testing.assert_array_equal(narrow.codes, encoding.codes[:2])
    assert narrow.n_codebooks == 2 and opened.n_codebooks == 8


def test_stored_codes_begin_with_a_fresh_encoding_at_every_bandwidth(opened: Edition) -> None:
    model = opened.checkpoint.model
    waveform = torch.from_numpy(opened.stimulus.waveform)[None, None]
    for bandwidth in opened.bandwidths:
        model.set_target_bandwidth(bandwidth)
        with torch.no_grad():
            [(fresh, _)] = model.encode(waveform)
        at_bandwidth = Edition(opened.settings, bandwidth, opened.build)
        assert at_bandwidth.n_codebooks == fresh.shape[1]
        np.testing.assert_array_equal(at_bandwidth.codes, fresh[0].numpy())


def test_the_codec_starts_afresh_with_every_run(opened: Edition) -> None:
    whole = opened.stimulus
    two = dataclasses.replace(whole, runs=[(0, 20), (20, whole.n_trs - 20)])
    joined = Edition(opened.settings, 6.0, opened.build)
    joined.__dict__["stimulus"] = two
    alone = Edition(opened.settings, 6.0, opened.build)
    alone.__dict__["stimulus"] = dataclasses.replace(
        whole, waveform=whole.waveform[20 * 36_000 :], runs=[(0, whole.n_trs - 20)]
    )
    border = 20 * 225 // 2
    np.testing.assert_array_equal(joined.encoding.latents[:, :border], opened.encoding.latents[:, :border])
    np.testing.assert_allclose(joined.encoding.latents[:, border:], alone.encoding.latents, atol=1e-5)
    assert not np.allclose(joined.encoding.latents[:, border], opened.encoding.latents[:, border], atol=1e-5)
    assert joined.decoded.shape == whole.waveform.shape
    np.testing.assert_allclose(joined.decoded[20 * 36_000 :], alone.decoded, atol=1e-5)


def test_the_encoding_is_kept_by_its_content(opened: Edition, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another recording, other weights or other code: another encoding."""
    key = opened._encoding_key

    def changed(**parts: object) -> str:
        other = Edition(opened.settings, 6.0, opened.build)
        other.__dict__.update(parts)
        return other._encoding_key

    louder = opened.stimulus.waveform.copy()
    louder[-1] += 1e-4
    assert changed() == key
    assert changed(stimulus=dataclasses.replace(opened.stimulus, waveform=louder)) != key
    assert changed(checkpoint=dataclasses.replace(opened.checkpoint, sha256="0" * 64)) != key
    monkeypatch.setattr(edition, "fingerprint", lambda *_: "other code")
    assert changed() != key


def test_the_stereo_codec_is_refused(tmp_path: Path, recording: Path, stereo_release: Path) -> None:
    path = write(tmp_path, recording, stereo_release)
    with pytest.raises(UserError, match="the book needs one stream of mono"):
        Edition.open(path, bandwidth=6.0, build=tmp_path / "b")


def test_decoding_is_the_codecs(opened: Edition) -> None:
    model = opened.checkpoint.model
    with torch.no_grad():
        codes = torch.from_numpy(opened.codes)[None]
        expected = model.decode([(codes, None)])[0, 0, : len(opened.stimulus.waveform)].numpy()
    np.testing.assert_allclose(opened.decoded, expected, atol=1e-6)
    assert any(name.startswith("decoded-") for name in files(opened.cache))
    np.testing.assert_array_equal(Edition(opened.settings, 6.0, opened.build).decoded, opened.decoded)


def test_the_study_is_simulated_once_from_the_sound(tmp_path: Path, recording: Path) -> None:
    path = write(tmp_path, recording, study={"n_subjects": 1, "shape": [6, 6, 6]})
    study = Edition.open(path, build=tmp_path / "b").study
    assert study.simulated and study.n_trs == 42 and len(study.subjects) == 1
    written = study.path(study.subjects[0]).stat().st_mtime_ns
    assert (
        Edition.open(path, build=tmp_path / "b").study.path(study.subjects[0]).stat().st_mtime_ns == written
    )
    write(tmp_path, recording, study={"n_subjects": 2, "shape": [6, 6, 6]})
    assert len(Edition.open(path, build=tmp_path / "b").study.subjects) == 2


@pytest.mark.parametrize("name", ["study.yml", "truth.npz", "sherlock_movie_s1.nii.gz"])
def test_a_simulated_study_that_is_not_what_was_written_is_simulated_again(
    tmp_path: Path, recording: Path, name: str
) -> None:
    path = write(tmp_path, recording, study={"n_subjects": 1, "shape": [6, 6, 6]})
    build = tmp_path / "b"
    study = Edition.open(path, build=build).study
    whole = {file.name: file.read_bytes() for file in study.folder.iterdir()}
    for damage in DAMAGES:
        damage(study.folder / name)
        assert Edition.open(path, build=build).study.n_trs == 42
        assert {file.name: file.read_bytes() for file in study.folder.iterdir()} == whole
    (study.folder / name).unlink()
    (build / "study.json").write_bytes(b"\xff")
    assert Edition.open(path, build=build).study.n_trs == 42
    assert {file.name: file.read_bytes() for file in study.folder.iterdir()} == whole


def test_records_of_all_bandwidths_are_read_together(opened: Edition) -> None:
    for bandwidth in (1.5, 6.0):
        at = Edition(opened.settings, bandwidth, opened.build)
        record = results.Record(metric="stoi", value=bandwidth / 10, unit="1", bandwidth_kbps=bandwidth)
        at.write_records("03-encodec", [record], per_bandwidth=True)
    opened.write_records("02-problem", [results.Record(metric="snr_db", value=1.0, unit="dB")])
    assert files(opened.build / "results") == [
        "02-problem.csv",
        "03-encodec-1.5kbps.csv",
        "03-encodec-6kbps.csv",
    ]
    table = opened.records("03-encodec", "02-problem")
    assert table["bandwidth_kbps"].tolist()[:2] == [1.5, 6.0]
    assert set(table["edition"]) == {"mine"} and table["hardware"].notna().all()
    assert set(table["material"]) == {"recordings"} and table["decoder"].isna().all()
    with pytest.raises(UserError, match=r"07-evaluation\*.csv: not there yet"):
        opened.records("07-evaluation")


def test_records_say_which_decoder_and_which_noise(opened: Edition) -> None:
    made = {"metric": "stoi", "value": 0.5, "unit": "1"}
    written = [
        results.Record(**made, codec="demo", condition="noise-free"),
        results.Record(**made, codec="demo", decoder="other", condition="voxel-noise"),
        results.Record(**made, condition="measured", material="computed"),
        results.Record(**made, condition="voxel-noise", noise=results.noise_of(2)),
    ]
    table = results.read(opened.write_records("07-evaluation", written))
    assert table["decoder"].fillna("").tolist() == ["own", "other", "", ""]
    assert table["noise"].fillna("").tolist() == ["none", "covarying x 1", "", "covarying x 2"]
    assert table["material"].tolist() == ["recordings", "recordings", "computed", "recordings"]


@pytest.mark.parametrize("bandwidth", [5.0, 48.0])
def test_a_bandwidth_that_the_codec_lacks_is_refused(
    opened: Edition, tmp_path: Path, bandwidth: float
) -> None:
    sentence = rf"bandwidth {bandwidth:g} kbps: tiny-\w+ does not have it; choose from 1.5, 3, 6, 12, 24"
    with pytest.raises(UserError, match=sentence):
        Edition.open(tmp_path / "mine.yml", bandwidth, tmp_path / "build")


def resolve(tmp_path: Path, source: Path | str, codec: Path | str, **arguments: Any) -> dict[str, Any]:
    """Resolve an edition file and return what was written."""
    out = tmp_path / "out" / "edition.yml"
    resolve_edition(str(write(tmp_path, source, codec, training=SHORT)), out, **arguments)
    loaded: dict[str, Any] = yaml.safe_load(out.read_text())
    return loaded


def test_resolving_writes_a_whole_edition(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path
) -> None:
    written = resolve(tmp_path, recording, tiny_checkpoint_file, bandwidths="6 1.5,12")
    assert written["bandwidths"] == [1.5, 6.0, 12.0] and written["main_bandwidth"] == 6.0
    out = tmp_path / "out" / "edition.yml"
    assert "42 TRs" in out.read_text() and "codec tiny-" in out.read_text()
    before = out.stat().st_mtime_ns
    resolve(tmp_path, recording, tiny_checkpoint_file, bandwidths="12 6 1.5")
    assert out.stat().st_mtime_ns == before, "what would not change is left alone"
    assert files(tmp_path / "out") == ["edition.yml"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "42 TRs leave too little on one side of a gap of 12; use more TRs or other than 4 folds"),
        (
            {"training": {**SHORT, "test_fraction": 0.9}},
            "a gap of 9; use more TRs or another training.test_fraction",
        ),
        ({"training": {**SHORT, "validation_fraction": 0.9}}, "training.validation_fraction: 0.9 of 2"),
        ({"training": {**SHORT, "window_trs": 12}}, "training.window_trs: 12 TRs do not fit into the blocks"),
        ({"training": {**SHORT, "cv_folds": 9}}, "training.cv_folds: 9 folds need at least 36 training TRs"),
        (
            {"training": {**SHORT, "segment_seconds": 12}},
            "held-out TRs hold 1 segments of 8 TRs; identification needs",
        ),
        ({"training": {**SHORT, "rank": 5000}}, "training.rank: a rank of 5000 does not fit through"),
        ({"training": SHORT, "study": {"n_subjects": 1}}, "at least 2 of them; the study has 1"),
    ],
)
def test_resolving_refuses_what_a_chapter_would(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, values: dict[str, Any], sentence: str
) -> None:
    path = write(tmp_path, recording, tiny_checkpoint_file, **values)
    with pytest.raises(UserError, match=re.escape(sentence)):
        resolve_edition(str(path), tmp_path / "out" / "edition.yml")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("0\t30\tspeech", "the held-out block ("),
        ("0\t63\tsilence", "no stretch of speech, music or ambience is long"),
    ],
)
def test_resolving_refuses_sound_in_which_nothing_can_be_scored(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, row: str, sentence: str
) -> None:
    table = tmp_path / "mine.tsv"
    table.write_text(f"onset\toffset\tkind\n{row}\n")
    path = write(tmp_path, recording, tiny_checkpoint_file, training=SHORT, stimulus={"segments": str(table)})
    with pytest.raises(UserError, match=re.escape(sentence)):
        resolve_edition(str(path), tmp_path / "out" / "edition.yml")


def test_resolving_says_when_the_main_bandwidth_is_not_asked_for(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = resolve(tmp_path, recording, tiny_checkpoint_file, bandwidths="1.5 3")
    assert written["main_bandwidth"] == 3.0
    sentence = "main bandwidth 3 kbps: 6 is not among the bandwidths asked for"
    assert f"# {sentence}\n" in (tmp_path / "out" / "edition.yml").read_text()
    arguments = ["--edition", str(tmp_path / "mine.yml"), "--bandwidths", "1.5 3"]
    assert program(["resolve", *arguments, "--out", str(tmp_path / "o.yml")]) == 0
    assert sentence in capsys.readouterr().out


def test_resolving_refuses_a_sweep_at_a_bandwidth_that_the_codec_lacks(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path
) -> None:
    path = write(tmp_path, recording, tiny_checkpoint_file, sweep={"bandwidths": [6.0, 5.0]})
    with pytest.raises(UserError, match="bandwidth 5 kbps: .* does not have it"):
        resolve_edition(str(path), tmp_path / "out" / "edition.yml")
    assert not (tmp_path / "out").exists()


def test_resolving_takes_all_bandwidths_of_the_codec(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path
) -> None:
    assert resolve(tmp_path, recording, tiny_checkpoint_file)["bandwidths"] == [1.5, 3, 6, 12, 24]
    # What make sweep asks for, where the edition itself lists two.
    two = {"bandwidths": [3.0, 6.0], "main_bandwidth": 6.0, "training": SHORT}
    out = tmp_path / "sweep.yml"
    resolve_edition(str(write(tmp_path, recording, tiny_checkpoint_file, **two)), out, bandwidths="all")
    assert yaml.safe_load(out.read_text())["bandwidths"] == [1.5, 3, 6, 12, 24]


def test_another_sound_replaces_the_editions(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    out = tmp_path / "edition.yml"
    own = write(tmp_path, "play", stimulus={"first_tr": 5, "n_trs": 64}, training=SHORT)
    notes = resolve_edition(str(own), out, stimulus="talk.wav", codec=str(tiny_checkpoint_file))
    written = yaml.safe_load(out.read_text())
    assert written["stimulus"] == {"source": str(recording), "segments": None, "first_tr": 0, "n_trs": None}
    assert any("42 TRs" in note for note in notes)


def bad_sounds(folder: Path, speech: Maker) -> dict[str, Path]:
    """Write one file of every kind that cannot be used."""
    good = speech(62.0)
    spoiled = good.copy()
    spoiled[1000] = np.nan
    for name, samples in {
        "silent": np.zeros(62 * 24_000),
        "second": good[:24_000],
        "short": good[: 59 * 24_000],
        "nan": spoiled,
        "inf": np.where(np.isnan(spoiled), np.inf, spoiled),
    }.items():
        soundfile.write(folder / f"{name}.wav", samples, 24_000, subtype="FLOAT")
    (folder / "text.wav").write_text("hello " * 1000)
    (folder / "empty.wav").touch()
    (folder / "folder.wav").mkdir()
    return {path.stem: path for path in folder.glob("*.wav")} | {"missing": folder / "missing.wav"}


def test_every_bad_sound_is_refused_before_anything_is_written(
    tmp_path: Path, speech: Maker, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    sentences = {
        "silent": "is silent",
        "second": "holds 0 TRs of 1.5 s, under 40 TRs (60 s)",
        "nan": "NaN or infinite",
        "short": "holds 39 TRs of 1.5 s, under 40 TRs (60 s)",
        "inf": "NaN or infinite",
        "text": "is not a sound file",
        "empty": "is empty",
        "folder": "is a folder",
        "missing": "does not exist",
    }
    paths = bad_sounds(sounds, speech)
    assert set(paths) == set(sentences)
    for name, path in paths.items():
        out = tmp_path / "out" / "edition.yml"
        arguments = ["--edition", "demo", "--stimulus", str(path), "--codec", str(tiny_checkpoint_file)]
        assert program(["resolve", *arguments, "--out", str(out)]) == 1
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1 and sentences[name] in captured.err, captured.err
        assert str(path) in captured.err
        assert not out.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"bandwidths": "1.5 5"}, "bandwidth 5 kbps: tiny-"),
        ({"bandwidths": "fast"}, "BANDWIDTHS='fast': give kbps separated by spaces"),
        ({"bandwidths": " , "}, "BANDWIDTHS=' , ': give kbps"),
        ({"codec": "/nowhere/model.safetensors"}, "/nowhere/model.safetensors: no such checkpoint"),
    ],
)
def test_other_bad_requests_are_refused(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, arguments: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        resolve(tmp_path, recording, arguments.pop("codec", tiny_checkpoint_file), **arguments)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_excerpt_beyond_the_end_is_refused(tmp_path: Path, recording: Path) -> None:
    path = write(tmp_path, recording, stimulus={"first_tr": 2, "n_trs": 41})
    with pytest.raises(UserError, match="holds 42 TRs of 1.5 s, the edition asks for TRs 3 to 43"):
        Edition.open(path, build=tmp_path / "b").stimulus  # noqa: B018


def test_sherlock_asks_for_what_only_the_user_has(tmp_path: Path, recording: Path) -> None:
    with pytest.raises(UserError) as caught:
        resolve_edition("sherlock", tmp_path / "edition.yml", codec="demo")
    message = str(caught.value)
    assert "stimulus.source" in message and "study.source" in message and "\n" not in message
    with pytest.raises(UserError, match="study.source"):
        resolve_edition("sherlock", tmp_path / "edition.yml", stimulus=str(recording), codec="demo")
    assert not (tmp_path / "edition.yml").exists()


def test_an_unwritable_place_is_refused(tmp_path: Path, recording: Path, tiny_checkpoint_file: Path) -> None:
    (tmp_path / "file").touch()
    path = write(tmp_path, recording, tiny_checkpoint_file, training=SHORT)
    with pytest.raises(UserError, match="cannot be written"):
        resolve_edition(str(path), tmp_path / "file" / "edition.yml")


def test_the_steps_leave_their_markers(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, tiny_checkpoint: Checkpoint
) -> None:
    path = write(tmp_path, recording, tiny_checkpoint_file, study={"n_subjects": 1, "shape": [6, 6, 6]})
    build = tmp_path / "build"
    for step, marker in (
        ("stimulus", "stimulus/done.json"),
        ("encode", "encoding.json"),
        ("study", "study/study.yml"),
    ):
        assert not (build / marker).exists()
        assert program([step, "--edition", str(path), "--build", str(build)]) == 0
        assert (build / marker).is_file()
    facts = json.loads((build / "encoding.json").read_text())
    assert (
        facts["codec"] == tiny_checkpoint.id and facts["codebooks"] == 32 and facts["frames"] == 42 * 225 // 2
    )


@pytest.fixture
def vocos(tmp_path: Path, tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second decoder of random weights in the place of the demo codec's, for 1.5 and 6 kbps."""
    from fmri_audio.codec import second_decoder, vocoder

    monkeypatch.setattr(second_decoder, "project_root", lambda: tmp_path)
    network = vocoder.Vocoder({"dim": 8, "intermediate": 12, "layers": 1, "bandwidths": [1.5, 6.0]})
    file = tmp_path / "checkpoints" / vocoder.DECODER_FILE
    return vocoder.save(network, file, {"codec": tiny_checkpoint.id, "licence": "", "description": ""})


def test_an_edition_may_have_its_codes_decoded_by_another_decoder(opened: Edition, vocos: Path) -> None:
    settings = opened.settings.model_copy(update={"decoder": "vocos"})
    other = Edition(settings, 6.0, opened.build)
    assert other.decoder is not None and other.decoder.vocoder.source == str(vocos)
    assert other.decoded.shape == opened.decoded.shape
    assert not np.array_equal(other.decoded, opened.decoded)
    assert np.array_equal(Edition(settings, 6.0, opened.build).decoded, other.decoded)
    made = {"metric": "stoi", "value": 0.5, "unit": "1", "codec": "tiny"}
    written = [
        results.Record(**made, arm="roundtrip", representation="encodec-codes"),
        results.Record(**made, arm="frozen", representation="encodec-latents"),
    ]
    assert results.read(other.write_records("03-encodec", written))["decoder"].tolist() == ["vocos", "own"]


def test_resolving_checks_the_decoder(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, vocos: Path
) -> None:
    written = resolve(tmp_path, recording, tiny_checkpoint_file, bandwidths="1.5 6", decoder="vocos")
    assert written["decoder"] == "vocos"
    assert "decoder vocos-demo-" in (tmp_path / "out" / "edition.yml").read_text()
    with pytest.raises(UserError, match=r"decodes 1.5, 6 kbps, not 3"):
        resolve(tmp_path, recording, tiny_checkpoint_file, bandwidths="1.5 3 6", decoder="vocos")
    with pytest.raises(UserError, match="CODEC_DECODER='best': choose one of own, vocos"):
        resolve(tmp_path, recording, tiny_checkpoint_file, decoder="best")
    vocos.unlink()
    with pytest.raises(UserError, match="does not exist.*make vocoder"):
        resolve(tmp_path, recording, tiny_checkpoint_file, bandwidths="6", decoder="vocos")
