"""The command line as a user meets it: results on standard output, one line per mistake, nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from fmri_audio import cli
from fmri_audio.codec import checkpoints, second_decoder, vocoder
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.sound import audio
from fmri_audio.sound.recognition import NO_RECOGNISER, Recogniser, compared

Maker = Callable[..., np.ndarray]
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, speech: Maker) -> Path:
    """Three seconds of stereo sound at 44.1 kHz."""
    path = tmp_path_factory.mktemp("sound") / "talk.wav"
    soundfile.write(path, np.stack([speech(3.0, 44_100)] * 2, axis=1), 44_100)
    return path


def fails(arguments: list[str], capsys: Output) -> str:
    """Run a command that must fail with status 1 and one line; return the line."""
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1, captured
    return captured.err


def test_evaluate_prints_one_json_object(tmp_path: Path, recording: Path, capsys: Output) -> None:
    sound = audio.read_sound(recording)
    shifted = np.pad(sound.samples[0], (441, 0))[: sound.samples.shape[1]]
    soundfile.write(tmp_path / "late.flac", 0.5 * shifted, 44_100)
    assert cli.main(["evaluate", str(recording), str(tmp_path / "late.flac"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    names = (
        "snr_db si_sdr_db pesq_wb pesq_nb stoi estoi visqol_speech dnsmos_ovrl lag_samples speech_fraction"
    )
    added = ["level_difference_db", "undefined", "reference_steps", "degraded_steps"]
    words = ["words_wrong", "words_reference", "words_said", "recogniser"]
    assert list(scores) == [*names.split(), *added, *words]
    assert list(scores["undefined"]) == words == [name for name, value in scores.items() if value is None]
    assert set(scores["undefined"].values()) == {"words are counted with --words, or with --transcript FILE"}
    assert scores["level_difference_db"] == pytest.approx(-6.02, abs=0.05)
    assert scores["reference_steps"] == [
        "mixed 2 channels to mono (mean)",
        "resampled from 44100 to 16000 Hz",
    ]
    assert scores["degraded_steps"] == ["resampled from 44100 to 16000 Hz"]
    assert scores["lag_samples"] == 160 and scores["snr_db"] == pytest.approx(6.02, abs=0.05)


def test_evaluate_prints_a_table(recording: Path, capsys: Output) -> None:
    assert cli.main(["evaluate", str(recording), str(recording)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[0] == "pesq_wb" and lines[2].endswith("MOS-LQO")
    assert [line.split()[0] for line in lines[4:8]] == ["stoi", "estoi", "visqol_speech", "dnsmos_ovrl"]
    assert lines[8].split() == ["lag_samples", "0", "samples"]
    steps = "mixed 2 channels to mono (mean); resampled from 44100 to 16000 Hz"
    assert len(lines) == 13 and lines[-2:] == [f"reference: {steps}", f"degraded: {steps}"]


def test_evaluate_of_silence_is_null(tmp_path: Path, recording: Path, capsys: Output) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(48_000), 16_000)
    assert cli.main(["evaluate", str(tmp_path / "silence.wav"), str(recording), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["pesq_wb"] is None and scores["stoi"] is None and scores["snr_db"] is None
    assert scores["speech_fraction"] == 0
    nulls = {name for name, value in scores.items() if value is None}
    assert {"estoi", "visqol_speech", "dnsmos_ovrl"} <= nulls
    assert set(scores["undefined"]) == nulls and scores["undefined"]["stoi"] == "the reference is silent"
    assert cli.main(["evaluate", str(tmp_path / "silence.wav"), str(recording)]) == 0
    assert (
        "undefined" in (out := capsys.readouterr().out)
        and "less than a tenth of the reference is speech" in out
    )


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Recogniser:
    """A recogniser that hears the same in everything."""

    class Listener(Recogniser):
        def transcribe(self, sounds: Sequence[np.ndarray]) -> list[str]:
            return ["cats dogs mice"] * len(sounds)

    found = Listener("Whisper fake", "MIT", "a test", "0" * 64, Path())
    monkeypatch.setattr(compared, "find_recogniser", lambda: found)
    return found


@pytest.mark.parametrize("transcript", [None, "Cats, hogs, mice.\n"])
def test_evaluate_counts_words_where_it_is_asked(
    tmp_path: Path, recording: Path, listener: Recogniser, capsys: Output, transcript: str | None
) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(132_300), 44_100)
    command = ["evaluate", str(recording), str(tmp_path / "silence.wav"), "--words"]
    if transcript is not None:
        (tmp_path / "said.txt").write_text(transcript, encoding="utf-8")
        command = [*command[:-1], "--transcript", str(tmp_path / "said.txt")]
    kind = "the recogniser's reading of the reference" if transcript is None else "transcript"
    assert cli.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["words_wrong"] == pytest.approx(1 if transcript is None else 2 / 3)
    assert found["words_reference"] == kind and found["words_said"] == 3
    assert found["recogniser"] == {
        "name": "Whisper fake",
        "licence": "MIT",
        "source": "a test",
        "sha256": "0" * 64,
    }
    assert "words_wrong" not in found["undefined"] and "stoi" in found["undefined"]
    assert cli.main(command) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "1" in lines["words_wrong"].split() or "0.6667" in lines["words_wrong"]
    assert kind in lines["words_reference"] and "Whisper fake, licence: MIT" in lines["recogniser"]
    assert lines["words_said"].split()[1] == "3" and "fewer than 600" in lines["words_said"]


def test_evaluate_without_a_recogniser_says_why_words_are_null(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(compared, "find_recogniser", lambda: None)
    assert cli.main(["evaluate", str(recording), str(recording), "--words", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["words_wrong"] is None and found["recogniser"] is None and found["stoi"] is not None
    assert found["undefined"]["words_wrong"] == NO_RECOGNISER
    assert cli.main(["evaluate", str(recording), str(recording), "--words"]) == 0
    assert f"words_wrong          undefined ({NO_RECOGNISER})\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "does not exist"), (b"\n", "has no words"), (b"\xff\xfe\x00", "no text in UTF-8")],
)
def test_evaluate_refuses_what_is_no_transcript(
    tmp_path: Path, recording: Path, capsys: Output, content: bytes | None, why: str
) -> None:
    file = tmp_path / "said.txt"
    if content is not None:
        file.write_bytes(content)
    line = fails(["evaluate", str(recording), str(recording), "--transcript", str(file)], capsys)
    assert why in line and str(file) in line


def test_evaluate_says_that_levels_are_far_apart(tmp_path: Path, recording: Path, capsys: Output) -> None:
    quiet = 0.01 * audio.read_sound(recording).samples[0]
    soundfile.write(tmp_path / "quiet.wav", np.pad(quiet, (44_100, 0)), 44_100, subtype="FLOAT")
    assert cli.main(["evaluate", str(recording), str(tmp_path / "quiet.wav")]) == 0
    out = capsys.readouterr().out
    assert "the degraded sound is 40.0 dB quieter than the reference" in out and " 16000 samples" in out


def test_evaluate_refuses_what_is_no_sound(tmp_path: Path, recording: Path, capsys: Output) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    assert "text.wav is not a sound file" in fails(
        ["evaluate", str(recording), str(tmp_path / "text.wav")], capsys
    )
    assert "missing.wav does not exist" in fails(
        ["evaluate", str(tmp_path / "missing.wav"), str(recording)], capsys
    )


def test_codec_info(tiny_checkpoint_file: Path, tiny_checkpoint: Checkpoint, capsys: Output) -> None:
    assert cli.main(["codec", "info", "--checkpoint", str(tiny_checkpoint_file)]) == 0
    out = capsys.readouterr().out
    known = (tiny_checkpoint.id, tiny_checkpoint.sha256)
    rates = "2 at 1.5 kbps, 4 at 3 kbps, 8 at 6 kbps, 16 at 12 kbps, 32 at 24 kbps; 1024 entries"
    for fact in (*known, "24000 Hz", "75 Hz", "1 (mono)", "one stream", rates, "besides 4,194,304"):
        assert fact in out


def test_codec_info_of_48khz(stereo_release: Path, capsys: Output) -> None:
    assert cli.main(["codec", "info", "--checkpoint", str(stereo_release.parent)]) == 0
    out = capsys.readouterr().out
    rates = "2 at 3 kbps, 4 at 6 kbps, 8 at 12 kbps, 16 at 24 kbps; 1024 entries"
    for fact in (stereo_release.stem, "48000 Hz", "150 Hz", "2 (stereo)", "segments of 1 s", rates, "MIT"):
        assert fact in out


@pytest.mark.parametrize("fault", ["unreachable", "altered"])
def test_weights_that_cannot_be_had_are_one_line(
    stereo_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output, fault: str
) -> None:
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(checkpoints, "ROOT_URL", "http://127.0.0.1:9/")
    if fault == "altered":
        (tmp_path / stereo_release.name).write_bytes(stereo_release.read_bytes()[:-1])
    line = fails(["codec", "info", "--checkpoint", "released-48khz"], capsys)
    assert ("is unreachable" if fault == "unreachable" else "truncated or altered") in line
    assert len(list(tmp_path.iterdir())) == (fault == "altered")


def test_encode_then_decode_is_the_codec(
    tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, tiny_checkpoint: Checkpoint, capsys: Output
) -> None:
    codes, sound = tmp_path / "new" / "codes.npz", tmp_path / "sound.wav"
    arguments = ["--checkpoint", str(tiny_checkpoint_file), "--bandwidth", "3"]
    assert cli.main(["codec", "encode", str(recording), str(codes), *arguments]) == 0
    assert "mixed 2 channels to mono (mean); resampled from 44100 to 24000 Hz; 4 codebooks × 225 frames" in (
        capsys.readouterr().out
    )
    with np.load(codes) as stored:
        assert stored["codes"].shape == (4, 225) and stored["codes"].dtype.kind == "i"
        assert float(stored["bandwidth_kbps"]) == 3 and int(stored["sample_rate"]) == 24_000
        assert int(stored["n_samples"]) == 72_000 and str(stored["checkpoint"]) == tiny_checkpoint.id
    assert cli.main(["codec", "decode", str(codes), str(sound)]) == 0
    waveform, _ = audio.to_mono(audio.read_sound(recording))
    codec = EncodecCodes(tiny_checkpoint, 3.0)
    expected = codec.roundtrip(torch.from_numpy(waveform)[None, None])[0, 0].numpy()
    back = audio.read_sound(sound)
    assert back.sample_rate == 24_000 and back.samples.shape == (1, 72_000)
    assert np.abs(back.samples[0] - np.clip(expected, -1, 1)).max() < 1e-4


def test_codes_may_be_decoded_by_a_second_decoder(
    tmp_path: Path,
    recording: Path,
    tiny_checkpoint_file: Path,
    tiny_checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    monkeypatch.setattr(second_decoder, "project_root", lambda: tmp_path)
    codes, sound = tmp_path / "codes.npz", tmp_path / "sound.wav"
    encode = ["codec", "encode", str(recording), str(codes), "--checkpoint", str(tiny_checkpoint_file)]
    decode = ["codec", "decode", str(codes), str(sound), "--decoder", "vocos"]
    assert cli.main([*encode, "--bandwidth", "3"]) == 0
    capsys.readouterr()
    assert "make vocoder" in fails(decode, capsys) and not sound.exists()
    network = vocoder.Vocoder({"dim": 8, "intermediate": 12, "layers": 1, "bandwidths": [3.0]})
    file = vocoder.save(
        network, tmp_path / "checkpoints/vocos-demo.safetensors", {"codec": tiny_checkpoint.id}
    )
    assert cli.main(decode) == 0
    assert "decoded by vocos-demo-" in capsys.readouterr().out
    codec = EncodecCodes(tiny_checkpoint, 3.0, second_decoder.decoder_for(tiny_checkpoint, file))
    with np.load(codes) as stored:
        expected = codec.synthesise(torch.from_numpy(stored["codes"])[None], 72_000)[0, 0].numpy()
    back = audio.read_sound(sound).samples[0]
    assert np.abs(back - np.clip(expected, -1, 1)).max() < 1e-4
    assert cli.main([*encode, "--bandwidth", "6"]) == 0
    capsys.readouterr()
    assert "decodes 3 kbps, not 6" in fails(decode, capsys)


@pytest.mark.parametrize("seconds", [2.5, 1.0, 0.995])
def test_48khz_is_the_package_segment_by_segment(
    tmp_path: Path, stereo_release: Path, seconds: float, capsys: Output
) -> None:
    sides = np.random.default_rng(0).normal(0, 0.1, (2, round(seconds * 48_000))).astype(np.float32)
    soundfile.write(tmp_path / "stereo.wav", sides.T, 48_000, subtype="FLOAT")
    codes, sound = tmp_path / "codes.npz", tmp_path / "out.wav"
    arguments = ["--checkpoint", str(stereo_release), "--bandwidth", "6"]
    assert cli.main(["codec", "encode", str(tmp_path / "stereo.wav"), str(codes), *arguments]) == 0
    assert cli.main(["codec", "decode", str(codes), str(sound)]) == 0
    model = checkpoints.load(str(stereo_release)).model
    model.set_target_bandwidth(6.0)
    segments = model.encode(torch.from_numpy(sides)[None])
    with np.load(codes) as stored:
        cuts = np.cumsum(stored["segment_frames"])[:-1]
        for part, scale, (theirs, their_scale) in zip(
            np.split(stored["codes"], cuts, axis=1), stored["scales"], segments, strict=True
        ):
            np.testing.assert_array_equal(part, theirs[0].numpy())
            assert their_scale is not None and scale == float(their_scale)
    # The package cannot overlap-add a last segment that the one before outreaches.
    expected = model.decode(segments[: 1 if seconds < 1 else None])[0, :, : sides.shape[1]].numpy()
    back = audio.read_sound(sound)
    assert back.sample_rate == 48_000 and back.samples.shape == sides.shape
    assert np.abs(back.samples - np.clip(expected, -1, 1)).max() < 1e-4
    assert "segments" in capsys.readouterr().out


def test_48khz_takes_any_sound_and_refuses_codes_that_do_not_fit(
    tmp_path: Path, recording: Path, stereo_release: Path, capsys: Output
) -> None:
    soundfile.write(tmp_path / "mono.wav", np.zeros(24_000), 24_000)
    codes = tmp_path / "codes.npz"
    for source, said in (
        (tmp_path / "mono.wav", "one channel on both sides"),
        (recording, "from 44100 to 48000"),
    ):
        encode = ["codec", "encode", str(source), str(codes), "--checkpoint", str(stereo_release)]
        assert cli.main(encode) == 0
        assert said in capsys.readouterr().out
    with np.load(codes) as archive:
        stored = dict(archive)

    def decode(**changes: object) -> str:
        kept = {key: value for key, value in {**stored, **changes}.items() if value is not None}
        np.savez(tmp_path / "changed.npz", **kept)  # type: ignore[arg-type]
        return fails(["codec", "decode", str(tmp_path / "changed.npz"), str(tmp_path / "out.wav")], capsys)

    assert "come with scales" in decode(scales=None)
    assert "one positive number for each of 4 segments" in decode(scales=-stored["scales"])
    assert "do not make 48000 samples" in decode(n_samples=48_000)
    assert "are 4 codebooks" in decode(codes=stored["codes"][:3])


def test_encode_refuses(tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, capsys: Output) -> None:
    def encode(sound: Path, out: Path, *more: str) -> str:
        checkpoint = () if "--checkpoint" in more else ("--checkpoint", str(tiny_checkpoint_file))
        return fails(["codec", "encode", str(sound), str(out), *checkpoint, *more], capsys)

    codes = tmp_path / "codes.npz"
    assert "bandwidth 5 kbps: tiny-" in encode(recording, codes, "--bandwidth", "5")
    assert "give a name ending in .npz" in encode(recording, tmp_path / "codes.txt")
    assert "missing.wav does not exist" in encode(tmp_path / "missing.wav", codes)
    assert "no such checkpoint" in encode(recording, codes, "--checkpoint", str(tmp_path / "x.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes(tiny_checkpoint_file.read_bytes()[:5000])
    assert "cut.safetensors" in encode(recording, codes, "--checkpoint", str(tmp_path / "cut.safetensors"))
    (tmp_path / "file").touch()
    assert "cannot be written" in encode(recording, tmp_path / "file" / "codes.npz")
    (tmp_path / "folder.npz").mkdir()
    assert "is a folder" in encode(recording, tmp_path / "folder.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.safetensors", "file", "folder.npz"], (
        "no debris"
    )


def test_decode_refuses(tmp_path: Path, recording: Path, tiny_checkpoint_file: Path, capsys: Output) -> None:
    codes = tmp_path / "codes.npz"
    cli.main(["codec", "encode", str(recording), str(codes), "--checkpoint", str(tiny_checkpoint_file)])
    capsys.readouterr()
    with np.load(codes) as archive:
        stored = dict(archive)
    sound = tmp_path / "out.wav"

    def decode(**changes: object) -> str:
        np.savez(tmp_path / "changed.npz", **{**stored, **changes})  # type: ignore[arg-type]
        return fails(["codec", "decode", str(tmp_path / "changed.npz"), str(sound)], capsys)

    assert "made with other weights" in decode(checkpoint_sha256="0" * 64)
    assert "no such checkpoint" in decode(checkpoint_spec=str(tmp_path / "gone.safetensors"))
    assert "of shape [K, T]" in decode(codes=np.zeros(5))
    assert "0 to 1023" in decode(codes=np.full((8, 225), 1024))
    assert "8 codebooks" in decode(codes=np.zeros((9, 225), int))
    assert "225 frames" in decode(n_samples=80_000)
    assert "225 frames" in decode(n_samples=300)
    (tmp_path / "text.npz").write_text("no codes")
    assert "holds no codes" in fails(["codec", "decode", str(tmp_path / "text.npz"), str(sound)], capsys)
    assert "does not exist" in fails(["codec", "decode", str(tmp_path / "none.npz"), str(sound)], capsys)
    assert "ending in .wav" in fails(["codec", "decode", str(codes), str(tmp_path / "out.mp3")], capsys)
    assert not sound.exists()


def test_data_simulate_and_check(tmp_path: Path, recording: Path, capsys: Output) -> None:
    out = tmp_path / "study"
    arguments = [
        "--subjects",
        "1",
        "--trs",
        "2",
        "--shape",
        "6",
        "6",
        "6",
        "--seed",
        "1",
        "--sound",
        str(recording),
    ]
    assert cli.main(["data", "simulate", str(out), *arguments]) == 0
    assert (out / "study.yml").is_file()
    capsys.readouterr()
    assert cli.main(["data", "check", str(out)]) == 0
    assert "1 subjects" in capsys.readouterr().out
    next(out.glob("*.nii*")).unlink()
    assert cli.main(["data", "check", str(out)]) == 1
    assert "missing" in capsys.readouterr().out
    assert "there is no such folder" in fails(["data", "check", str(tmp_path / "none")], capsys)


def test_data_simulate_has_variants_features_and_runs(
    tmp_path: Path, recording: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fmri_audio.simulation import simulator

    asked: dict[str, object] = {}
    monkeypatch.setattr(simulator, "simulate_study", lambda out, *_, **options: asked.update(options) or out)
    start = ["data", "simulate", str(tmp_path / "study"), "--sound", str(recording)]
    assert (
        cli.main(
            [*start, "--variant", "null-shared", "--features", "envelope", "pitch", "--runs", "12", "30"]
        )
        == 0
    )
    assert "42 TRs" in capsys.readouterr().out
    assert (asked["variant"], asked["features"], asked["strength"]) == (
        "null-shared",
        ["envelope", "pitch"],
        None,
    )
    assert (asked["n_trs"], asked["runs"]) == (42, [(0, 12), (12, 30)])
    assert cli.main(start) == 0
    assert (asked["variant"], asked["n_trs"], asked["runs"]) == ("matched", 240, [(0, 240)])
    assert asked["features"] == ["bands", "envelope", "modulation", "pitch"] and asked["voxels"] == "between"


def test_data_simulate_refuses_what_does_not_fit(tmp_path: Path, recording: Path, capsys: Output) -> None:
    start = ["data", "simulate", str(tmp_path / "study"), "--sound", str(recording)]
    assert "hold 3 TRs, 2 were asked for" in fails([*start, "--runs", "1", "2", "--trs", "2"], capsys)
    assert "at least one TR, not 0" in fails([*start, "--trs", "0"], capsys)
    assert "TRs of 1.5 s at most" in fails([*start, "--trs", "5000"], capsys)
    null = ["--trs", "2", "--variant", "null", "--strength", ".2"]
    assert "no signal; leave strength out" in fails([*start, *null], capsys)
    assert not list(tmp_path.glob("*study*"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["evaluate"],
        ["codec"],
        ["codec", "encode", "a.wav"],
        ["sing"],
        ["data", "simulate", "x", "--shape", "1"],
        ["data", "simulate", "x", "--features", "latents"],
        ["data", "simulate", "x", "--variant", "weak"],
        ["codec", "encode", "a.wav", "b.npz", "--bandwidth", "wide"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: fmri-audio" in capsys.readouterr().err


def test_a_mistake_is_one_line_from_the_shell_too(
    recording: Path, tiny_checkpoint_file: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "fmri_audio.cli",
        "codec",
        "encode",
        str(recording),
        str(tmp_path / "c.npz"),
    ]
    done = subprocess.run(
        [*command, "--checkpoint", str(tiny_checkpoint_file), "--bandwidth", "5"],
        capture_output=True,
        text=True,
        cwd=Path(cli.__file__).parents[1],
        check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("fmri-audio: bandwidth 5 kbps")
