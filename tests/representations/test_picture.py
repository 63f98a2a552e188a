"""A mel spectrogram as a picture: the bytes of its files, the rate they meet, and what a coarser picture loses."""

from __future__ import annotations

import io
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image, features

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.representations.mel_vocoder import MelVocoder, open_vocoder
from fmri_audio.representations.picture import (
    AVIF,
    JPEG2000,
    WEBP,
    AvifPicture,
    Jpeg2000Picture,
    MelPicture,
    PictureFormat,
    WebpPicture,
    read_picture,
)
from fmri_audio.sound.metrics.mel_distance import mel_distance_db

CLASSES = [WebpPicture, AvifPicture, Jpeg2000Picture]
RATES = [1.5, 3.0, 6.0, 12.0, 24.0]


@pytest.fixture(scope="module")
def play() -> torch.Tensor:
    """20 s of speech of the play, [1, 1, T]."""
    start = 33 * 24_000
    samples, rate = soundfile.read(
        project_root() / "stimulus" / "part1.ogg", start=start, stop=start + 480_000, dtype="float32"
    )
    assert rate == 24_000
    return torch.from_numpy(samples)[None, None]


def noise(n_samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kbps", RATES)
@pytest.mark.parametrize("made", CLASSES)
def test_whole_files_meet_the_rate(made: type[MelPicture], kbps: float, play: torch.Tensor) -> None:
    picture = made(kbps)
    [files] = picture.files(play)
    assert len(files) == 2, "20 s are two windows of 10 s"
    bits = 8 * sum(map(len, files))
    assert 0.9 * 20_000 * kbps <= bits <= 20_000 * kbps
    assert picture.bits_per_second == pytest.approx(1000 * kbps)


@pytest.mark.parametrize("made", CLASSES)
def test_a_file_is_all_that_is_needed(made: type[MelPicture], play: torch.Tensor, tmp_path: Path) -> None:
    picture = made(6.0)
    [files] = picture.files(play)
    for number, file in enumerate(files):
        (tmp_path / str(number)).write_bytes(file)
        assert (tmp_path / str(number)).stat().st_size == len(file)
        with Image.open(tmp_path / str(number)) as opened:
            assert opened.format == picture.form.pillow and opened.size == (667, 128)
    again = picture.read([(tmp_path / str(number)).read_bytes() for number in range(len(files))])
    assert torch.equal(again[None], picture.analyse(play)) and again.dtype == torch.uint8
    assert picture.files(play) == [files], "equal sound gives equal files"


def test_of_jpeg_2000s_two_headers_the_shorter_is_taken(play: torch.Tensor) -> None:
    greys, boxed = WebpPicture(6.0).greys(play)[0].numpy(), io.BytesIO()
    Image.fromarray(greys).save(boxed, "JPEG2000", **{**JPEG2000.settings(0), "no_jp2": False})
    bare = JPEG2000.write(greys, 0)
    assert len(bare) < len(boxed.getvalue()) and bare.startswith(b"\xff\x4f\xff\x51")


@pytest.mark.parametrize("form", [WEBP, AVIF, JPEG2000])
def test_the_finest_that_fits_is_found(form: PictureFormat, play: torch.Tensor) -> None:
    greys = WebpPicture(6.0).greys(play[..., :240_000])[0].numpy()
    qualities = range(0, form.finest + 1, form.finest // 10)
    files = [form.write(greys, quality) for quality in qualities]
    assert [len(file) for file in files] == sorted(len(file) for file in files)
    errors = [np.square(read_picture(file).astype(float) - greys).mean() for file in files]
    assert all(finer <= 1.01 * coarser for coarser, finer in itertools.pairwise(errors))
    for quality, file in list(zip(qualities, files, strict=True))[::4]:
        found = form.fit(greys, len(file))
        assert len(found) <= len(file)
        assert len(found) >= 0.99 * len(file), f"as large as quality {quality}"


@pytest.mark.parametrize("made", CLASSES)
def test_fewer_bits_are_never_closer(made: type[MelPicture], play: torch.Tensor) -> None:
    sound = play[0, 0].numpy()
    greys = made(24.0).greys(play).float()
    errors, distances = [], []
    for kbps in RATES:
        picture = made(kbps, n_iter=4)
        written = picture.analyse(play)
        errors.append(float((written.float() - greys).square().mean()))
        back = picture.synthesise(written, sound.size)
        distances.append(mel_distance_db(sound, back[0, 0].numpy(), 24_000))
    assert errors == sorted(errors, reverse=True)
    assert all(finer < coarser + 0.1 for coarser, finer in itertools.pairwise(distances))
    assert distances[-1] < distances[0] - 1


@pytest.mark.parametrize("made", CLASSES)
def test_a_fine_picture_is_the_plain_mel_up_to_its_greys(made: type[MelPicture], play: torch.Tensor) -> None:
    plain = MelGriffinLim().analyse(play) * (10 / np.log(10))
    fine = made(100.0).analyse(play).float() * (80 / 255) - 40
    assert (fine - plain.clamp(-40, 40)).square().mean().sqrt() < 0.5, "dB; steps of 0.31"


def test_the_lowest_band_is_at_the_bottom_of_the_picture() -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 200 * torch.arange(24_000) / 24_000)[None, None]
    [[file]] = Jpeg2000Picture(24.0).files(tone)
    greys = read_picture(file).astype(float)
    assert greys.mean(axis=1).argmax() > 110
    assert Jpeg2000Picture(24.0).analyse(tone)[0].float().mean(dim=1).argmax() < 18


@pytest.mark.parametrize(
    ("seconds", "window", "expected"), [(0.4, 10.0, 1), (9.0, 10.0, 1), (35.0, 10.0, 3), (35.0, 17.0, 2)]
)
def test_windows_are_equal_and_at_least_so_long(seconds: float, window: float, expected: int) -> None:
    n_samples = round(seconds * 24_000)
    n_frames = n_samples // 360 + 1
    bounds = WebpPicture(6.0, window).windows(n_samples, n_frames)
    lengths = [stop - start for start, stop in bounds]
    assert len(bounds) == expected and bounds[0][0] == 0 and bounds[-1][1] == n_frames
    assert max(lengths) - min(lengths) <= 1
    assert expected == 1 or min(lengths) * 360 / 24_000 >= window


@pytest.mark.parametrize("made", CLASSES)
def test_any_length_comes_back(made: type[MelPicture]) -> None:
    for n_samples in (24_000, 300_001, 480_000):
        picture = made(24.0, n_iter=0)
        wave = noise(n_samples)
        written = picture.analyse(wave)
        assert written.shape == (1, 128, n_samples // 360 + 1)
        assert picture.synthesise(written, n_samples).shape == wave.shape


def test_the_vocoder_gets_the_same_greys(play: torch.Tensor) -> None:
    vocoder = MelVocoder(open_vocoder())
    with_it, without = WebpPicture(6.0, way_back=vocoder), WebpPicture(6.0, n_iter=0)
    greys = with_it.analyse(play)
    assert torch.equal(greys, without.analyse(play))
    log_mel = (greys.float() * (80 / 255) - 40) * (np.log(10) / 10)
    torch.testing.assert_close(
        with_it.synthesise(greys, 479_000), vocoder.synthesise(log_mel, 479_000), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(("made", "kbps"), [(WebpPicture, 1.0), (AvifPicture, 0.2), (Jpeg2000Picture, 0.1)])
def test_a_format_that_cannot_get_that_small_says_so(
    made: type[MelPicture], kbps: float, play: torch.Tensor
) -> None:
    allowed = int(10_000 * kbps / 8)
    with pytest.raises(UserError) as said:
        made(kbps).files(play[..., :240_000])
    assert re.fullmatch(
        rf"{made.form.label} cannot write a picture of 667 frames in {allowed} bytes: its coarsest has \d+; "
        "give more kbps or take another format",
        str(said.value),
    )


@pytest.mark.parametrize("form", [WEBP, AVIF, JPEG2000])
def test_a_pillow_without_the_format_is_one_sentence(
    form: PictureFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != form.feature)
    with pytest.raises(UserError, match=f"the installed Pillow cannot write {form.label}: run pip install"):
        form.write(np.zeros((8, 8), np.uint8), 0)


def test_no_pillow_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError, match=r"PIL is not installed: run pip install '.\[book\]'"):
        WebpPicture(6.0).analyse(noise(24_000))


def test_short_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="a picture of 5 s is too short: take 10 s or more"):
        AvifPicture(6.0, window_seconds=5.0)
