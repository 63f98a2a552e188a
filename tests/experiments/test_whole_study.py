"""Every TR held out once: what is found in brains that hear, and in brains that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from fmri_audio.decoding import encoding
from fmri_audio.edition.edition import Edition
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from tests.study.conftest import SAMPLE_RATE, noise_bursts

N_TRS = 200


def open_study(folder: Path, codec: Path, variant: str) -> WholeStudy:
    sound = folder / "sound.wav"
    soundfile.write(sound, noise_bursts(N_TRS), SAMPLE_RATE)
    pd.DataFrame({"onset": [0.0], "offset": [1.5 * N_TRS], "kind": ["speech"]}).to_csv(
        sound.with_suffix(".tsv"), sep="\t", index=False
    )
    settings = {
        "edition": variant,
        "codec": str(codec),
        "stimulus": {"source": str(sound)},
        "study": {"n_subjects": 2, "shape": [16, 14, 14], "variant": variant},
        "training": {"rank": 8, "steps": 4, "epochs": 2, "cv_folds": 3},
    }
    path = folder / "edition.yml"
    path.write_text(yaml.safe_dump(settings))
    whole = WholeStudy(HeldOut(Edition.open(path, build=folder / "build")))
    # A codec of random weights says little about loudness; let it say what the simulated voxels follow.
    whole.__dict__["latents"] = np.load(whole.study.folder / "truth.npz")["features"]
    return whole


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_file: Path) -> dict[str, WholeStudy]:
    return {
        variant: open_study(tmp_path_factory.mktemp(variant), tiny_checkpoint_file, variant)
        for variant in ("strong", "null")
    }


def test_every_tr_is_predicted_once(studies: dict[str, WholeStudy]) -> None:
    whole = studies["strong"]
    assert list(whole.predictions) == [1, 2]
    for folds in whole.predictions.values():
        blocks = [fold.block for fold in folds]
        assert [a for a, _ in blocks[1:]] == [b for _, b in blocks[:-1]]
        assert blocks[-1][1] - blocks[0][0] >= N_TRS - 4
        n_features = whole.latents.shape[1]
        assert [fold.predicted.shape for fold in folds] == [(b - a, n_features) for a, b in blocks]


def test_brains_that_hear_identify_and_the_others_do_not(studies: dict[str, WholeStudy]) -> None:
    strong, null = (studies[name].identify() for name in ("strong", "null"))
    assert strong.testable and strong.p < 0.02 and strong.accuracy > 0.6
    assert null.testable and null.p > 0.02
    assert studies["strong"].identify(ways=10, matched=False).chance == 0.1


def test_bits_and_encoding_follow(studies: dict[str, WholeStudy], monkeypatch: pytest.MonkeyPatch) -> None:
    strong, null = (
        [bits.summed.mean() for bits in studies[name].bits().values()] for name in ("strong", "null")
    )
    assert min(strong) > max(null)
    monkeypatch.setattr(encoding, "N_MIXTURES", 3)
    heard, deaf = (studies[name].encode(1) for name in ("strong", "null"))
    assert list(heard.parts) == ["envelope", "mel", "latents"]
    assert np.nanmean(heard.correlation) > 0.3 > 0.15 > abs(np.nanmean(deaf.correlation))
