"""The recipes of CONTRIBUTING.md, each tried with a toy in a temporary folder: one file more, and it is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fmri_audio.base.settings import project_root
from tests.programs.workflow.conftest import chapter, lay_out

METRIC = '''
"""Largest difference of two samples."""

from fmri_audio.sound.metrics.base import METRICS, Metric


def largest(reference, degraded, sample_rate):
    """Return the largest difference."""
    return float(abs(reference - degraded).max())


METRICS.register(Metric("largest", "largest difference", "1", -1, 1, 70, largest, rate=None), __name__)
'''

REPRESENTATION = '''
"""The waveform itself, so many samples a frame."""

from fractions import Fraction

from fmri_audio.representations.base import Representation, check_waveform, registered


@registered
class Samples(Representation):
    """Every frame is a stretch of samples."""

    name, label, place = "samples", "the waveform", 90
    sample_rate, channels = 24_000, 240
    feature_rate = Fraction(24_000, 240)

    @classmethod
    def usual(cls, checkpoint):
        """Make one."""
        return cls()

    def analyse(self, waveform):
        """Return frames [B, 240, L]."""
        check_waveform(waveform)
        whole = waveform[..., : waveform.shape[-1] // 240 * 240]
        return whole.reshape(len(whole), -1, 240).transpose(1, 2)

    def synthesise(self, features, n_samples):
        """Return the samples, and silence behind them."""
        import torch.nn.functional as F

        samples = features.transpose(1, 2).reshape(len(features), 1, -1)
        return F.pad(samples, (0, n_samples - samples.shape[-1]))
'''

ARM = '''
"""The waveform through the bottleneck."""

from pydantic import Field

from fmri_audio.base.settings import Section
from fmri_audio.bottleneck.arms.base import Arm, registered
from fmri_audio.bottleneck.layers import TrProjection
from fmri_audio.representations.base import REPRESENTATIONS


class SamplesOptions(Section):
    """Its own settings."""

    power: float = Field(2.0, gt=0)


@registered
class SamplesArm(Arm):
    """Samples as they are."""

    name, label, place = "samples", "waveform", 60
    representation, loss_unit = "samples", "difference of samples"
    options = SamplesOptions

    @classmethod
    def build(cls, material):
        """Make the arm."""
        features = REPRESENTATIONS["samples"].usual(material.checkpoint)
        grid = material.grid(features.feature_rate, features.channels)
        arm = cls(TrProjection(grid, material.rank), material.space(), features.sample_rate, 240)
        arm.features, arm.power = features, SamplesOptions(**material.parts.get("samples", {})).power
        return arm.to(material.device)

    def analyse(self, waveform):
        """Return frames."""
        return self.features.analyse(waveform)

    def loss(self, restored, window):
        """Return the mean difference, to the power that was asked for."""
        return (restored.float() - window["features"]).abs().pow(self.power).mean()

    def synthesise(self, restored, n_samples):
        """Return the samples."""
        return self.features.synthesise(restored[None], n_samples)[0, 0]
'''

LAYOUT = '''
"""One folder per subject, as no real data set has it."""

from pathlib import Path

from fmri_audio.study.facts import Found, Run, Scan, StudyFile
from fmri_audio.study.layouts.base import LAYOUTS, Layout


class Folders(Layout):
    """Folders called subject-1 and so on, each with scan.nii.gz of 60 volumes."""

    name, label, place = "folders", "one folder per subject", 20

    def recognises(self, folder, written):
        """Whether there is a folder of the first subject."""
        return (folder / "subject-1").is_dir()

    def find(self, folder, written, asked):
        """Take every subject's folder."""
        subjects = sorted(int(path.name.removeprefix("subject-")) for path in folder.glob("subject-*"))
        facts = StudyFile(name="folders", subjects=subjects, shift_trs=3, runs=[Run(name="1", first_tr=0, n_trs=60)])
        scans = {one: (Scan(folder / f"subject-{one}" / "scan.nii.gz", 0, 60, whole=True),) for one in subjects}
        return Found(facts, scans)


LAYOUTS.register(Folders(), __name__)
'''

BEGIN = """
import importlib, sys
for package, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    importlib.import_module(package).__path__.append(folder)
"""


def add(tmp_path: Path, **files: str) -> list[str]:
    """Write files into folders beside rooms; return what :data:`BEGIN` takes."""
    words = []
    for number, (room, content) in enumerate(files.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "toy.py").write_text(content)
        words += [f"fmri_audio.{room.replace('__', '.')}", str(folder)]
    return words


def run(code: str, words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=project_root(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_metric_is_a_column_of_tables(tmp_path: Path) -> None:
    said = run(
        """
import numpy as np
from fmri_audio.sound import scoring
from fmri_audio.sound.segments import Window
sound = np.sin(np.arange(48_000) / 10).astype(np.float32)
scores = scoring.score_windows(sound, sound + 0.25, 24_000, [Window("w", 0.0, 2.0, "music")], ["largest"])
table = scoring.means_table({"louder": scores})
print(table.columns[-1], table["largest difference"].round(6).tolist(), scoring.FORMATS["largest difference"])
print(scoring.to_records(scores, wanted=["largest"])[0])
""",
        add(tmp_path, sound__metrics=METRIC),
    )
    assert said.startswith("largest difference [0.25] .1f") and "Record(metric='largest', value=0.25" in said


def test_a_representation_with_its_arm_is_checked_trained_and_named(tmp_path: Path) -> None:
    said = run(
        """
import tempfile
from pathlib import Path
import torch
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import TrainingSettings, load_settings
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.store import trained_arms
from fmri_audio.codec import checkpoints
from fmri_audio.edition.parts import check_parts
from fmri_audio.representations.base import REPRESENTATIONS
from fmri_audio.study.splits import contiguous_split
from tests.materials import N_TRS, material_about
from dataclasses import replace
from fractions import Fraction

arms = ["frozen", "finetuned", "samples"]
smoke = {"training.arms": arms, "sweep.arms": ["frozen"], "sweep.bandwidths": []}
check_parts(load_settings("smoke", {**smoke, "parts": {"samples": {"power": 1.0}}}))
for wrong in ({"power": -1.0}, {"loudness": 1}):
    try:
        check_parts(load_settings("smoke", {**smoke, "parts": {"samples": wrong}}))
    except UserError as error:
        print(error)
wave = torch.randn(1, 1, 24_000)
samples = REPRESENTATIONS["samples"].usual(None)
print("exact", torch.equal(samples.roundtrip(wave), wave), ARM_LABELS["samples"])
material = replace(material_about(checkpoints.load("demo")), parts={"samples": {"power": 1.0}})
settings = TrainingSettings(rank=4, steps=2, epochs=1, batch_size=1, gap_trs=10, validation_fraction=0.2, arms=arms)
split = contiguous_split([(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=Fraction(3, 2))
with tempfile.TemporaryDirectory() as folder:
    made = trained_arms(["samples"], material, split, settings, seed=0, cache=Path(folder), say=lambda _: None)
one = made["samples"]
print("trained", one.arm, one.model.power, one.model.sound_of_code(one.code[40:48], 40).shape)
""",
        add(tmp_path, representations=REPRESENTATION, bottleneck__arms=ARM),
    )
    lines = said.splitlines()
    assert lines[0].startswith("parts.samples.power: Input should be greater than 0")
    assert lines[1].startswith("parts.samples.loudness: Extra inputs are not permitted")
    assert lines[2:] == ["exact True waveform", "trained samples 1.0 (288000,)"]


def test_a_layout_is_read_by_data_check(tmp_path: Path) -> None:
    words = add(tmp_path, study__layouts=LAYOUT)
    said = run(
        """
from pathlib import Path
import nibabel as nib, numpy as np
from fmri_audio import cli
from fmri_audio.study.layouts.sherlock import RELEASE_AFFINE
folder = Path(sys.argv[2]).parent / "data"
for subject in (1, 2):
    (folder / f"subject-{subject}").mkdir(parents=True)
    data = np.random.default_rng(subject).standard_normal((8, 8, 8, 60)).astype(np.float32) + 100
    image = nib.Nifti1Image(data, RELEASE_AFFINE)
    image.header.set_zooms((3, 3, 3, 1.5))
    image.header.set_sform(RELEASE_AFFINE, 4)
    image.to_filename(folder / f"subject-{subject}" / "scan.nii.gz")
print(cli.main(["data", "check", str(folder)]))
""",
        words,
    )
    assert "folders" in said and "2 subjects" in said
    with pytest.raises(AssertionError):  # and without the file it is nobody's
        run(
            "from fmri_audio.study.reader import find_study; from pathlib import Path; find_study(Path('tests'))",
            [],
        )


def test_a_chapter_is_a_page(tmp_path: Path) -> None:
    toy = lay_out(tmp_path)
    chapters = toy.folder / "fmri_audio" / "chapters"
    chapters.mkdir()
    (chapters / "__init__.py").write_text("")
    (chapters / "answer.py").write_text("def answer():\n    return 6 * 7\n")
    code = "from fmri_audio.chapters.answer import answer\nprint('the answer is', answer())"
    (toy.folder / "book" / "04-answer.md").write_text(chapter("04-answer", code))
    listed = toy.folder / "book" / "chapters.yml"
    listed.write_text(listed.read_text() + "- {name: 04-answer}\n")
    contents = toy.folder / "_toc.yml"
    contents.write_text(contents.read_text() + "- file: book/04-answer.ipynb\n")
    made = toy.make()
    assert made.returncode == 0, made.stderr
    assert "the answer is 42" in (toy.folder / "_build" / "html" / "book" / "04-answer.html").read_text()
