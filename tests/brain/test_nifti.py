"""NIfTI files, right ones and broken ones: every file ends in its values or in one sentence, and soon.

``FMRI_AUDIO_FUZZ=100`` feeds the readers a hundred times as many broken files.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.brain import masks, nifti
from fmri_audio.brain.nifti import seconds_per_volume
from fmri_audio.study import checker, masked
from fmri_audio.study.facts import Scan
from fmri_audio.study.reader import Study
from fmri_audio.study.scans import open_image, scan_volumes

AFFINE = np.array([[-3.0, 0, 0, -30], [0, 3, 0, -42], [0, 0, 3, -12], [0, 0, 0, 1]])
SHAPE = (6, 5, 4)
N_TRS = 7
TIMES = int(os.environ.get("FMRI_AUDIO_FUZZ", "1"))

Change = Callable[[Any], object]


def raw_image(
    change: Change | None = None,
    kind: type = nib.Nifti1Image,
    data: np.ndarray | None = None,
    dtype: str = "<i2",
) -> bytes:
    """Bytes of a scan of 7 TRs whose header was changed after it was written."""
    if data is None:
        data = np.arange(np.prod(SHAPE) * N_TRS).reshape(*SHAPE, N_TRS)
    image = kind(data.astype(dtype), AFFINE)
    if data.ndim == 4:
        image.header.set_zooms((3, 3, 3, 1.5))
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(AFFINE, code="mni")
    raw = image.to_bytes()
    size = image.header.template_dtype.itemsize
    header = kind.header_class(raw[:size], check=False)  # type: ignore[attr-defined]
    if change is not None:
        change(header)
    return bytes(header.binaryblock + raw[size:])


def put(path: Path, raw: bytes) -> Path:
    path.write_bytes(gzip.compress(raw, 1) if path.suffix == ".gz" else raw)
    return path


def setting(**fields: Any) -> Change:
    """Set fields of a header; a pair (index, value) sets one element."""

    def change(header: Any) -> None:
        for name, value in fields.items():
            if isinstance(value, tuple):
                header[name][value[0]] = value[1]
            else:
                header[name] = value

    return change


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_what_is_read_is_what_nibabel_reads(tmp_path: Path, name: str, kind: type) -> None:
    path = put(tmp_path / name.lower(), raw_image(setting(scl_slope=0.5, scl_inter=-3), kind)).rename(
        tmp_path / name
    )
    image, expected = nifti.open_nifti(path), nib.load(path)
    assert image.shape == expected.shape and seconds_per_volume(image) == 1.5
    assert_array_equal(image.affine, expected.affine)
    values = np.stack(list(nifti.volumes(path, image)), axis=-1)
    assert values.dtype == np.float32
    assert_array_equal(values, np.asarray(expected.dataobj, np.float32))


def test_the_other_byte_order_and_an_extension_are_read(tmp_path: Path) -> None:
    data = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    image = nib.Nifti1Image(data.astype(">i4"), AFFINE, nib.Nifti1Header(endianness=">"))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    image.to_filename(tmp_path / "a.nii")
    [values] = nifti.volumes(tmp_path / "a.nii", nifti.open_nifti(tmp_path / "a.nii"))
    assert_array_equal(values, data)


@pytest.mark.parametrize(
    ("units", "tr", "seconds"),
    [(10, 1.5, 1.5), (18, 720, 0.72), (26, 2e6, 2.0), (0, 1.5, 1.5), (2, 2, 2.0), (10, 0, 0)],
)
def test_units_of_time(tmp_path: Path, units: int, tr: float, seconds: float) -> None:
    path = put(tmp_path / "a.nii", raw_image(setting(xyzt_units=units, pixdim=(4, tr))))
    assert seconds_per_volume(open_image(path)) == pytest.approx(seconds, abs=1e-7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (setting(dim=(0, 9)), "dimensions that no image has"),
        (setting(dim=(2, -5)), "dimensions that no image has"),
        (setting(dim=(1, 0)), "dimensions that no image has"),
        (setting(dim=[4, 32767, 32767, 32767, 32767, 1, 1, 1]), "32767×32767×32767 voxels are more than"),
        (setting(dim=(4, 32767)), "truncated in volume 8 of 32767"),
        (setting(dim=(4, 5)), "holds more than its header's dimensions need"),
        (setting(dim=(0, 3)), "holds more than its header's dimensions need"),
        (setting(datatype=128, bitpix=24), r"type 128 \(RGB\)"),
        (setting(datatype=32, bitpix=64), r"type 32 \(complex64\)"),
        (setting(datatype=1, bitpix=1), r"type 1 \(binary\)"),
        (setting(datatype=77), r"type 77 \(unknown to NIfTI\)"),
        (setting(vox_offset=0), "cannot begin at byte 0"),
        (setting(vox_offset=100), "cannot begin at byte 100"),
        (setting(vox_offset=np.nan), "cannot begin at byte nan"),
        (setting(vox_offset=352.5), "cannot begin at byte 352.5"),
        (setting(vox_offset=400), "truncated in volume 7"),
        (setting(vox_offset=1e30), "truncated in volume 1"),
        (setting(scl_slope=2, scl_inter=np.inf), "invalid intercept"),
        (setting(scl_slope=np.nan, scl_inter=np.nan), None),
        (setting(xyzt_units=8 + 5), "units .xyzt_units 13. are none that NIfTI knows"),
        (setting(xyzt_units=64 + 2), "none that NIfTI knows"),
        (setting(xyzt_units=8 + 3), "counts space in micron"),
        (setting(xyzt_units=8 + 1), "counts space in meter"),
        (setting(xyzt_units=32 + 2), "counted in hz, not in time"),
        (setting(pixdim=(4, np.nan)), "TR of nan"),
        (setting(pixdim=(4, -1.5)), "TR of -1.5 sec"),
        (setting(pixdim=(4, 1500)), "TR of 1500 sec"),
        (setting(pixdim=(4, 1500), xyzt_units=2), "TR of 1500 seconds, no unit being stated"),
        (setting(pixdim=[1, -3, 0, np.nan, 1.5, 1, 1, 1]), None),
        (setting(sform_code=9), "sform_code 9 is none"),
        (setting(qform_code=-1), "qform_code -1 is none"),
        (setting(srow_x=[0, 0, 0, 90]), "sform leads to no place in a brain"),
        (setting(srow_x=[0, 3, 0, 90]), "sform leads to no place.*flat"),
        (setting(srow_y=[np.nan] * 4), "sform leads to no place"),
        (setting(srow_z=[0, 0, 3, 1e9]), "sform leads to no place.*far away"),
        (setting(srow_x=[3000, 0, 0, 0]), "voxels of 3000×3×3 mm"),
        (setting(sform_code=0, qform_code=1, quatern_b=2), "cannot be read as NIfTI"),
        (setting(sform_code=0, qform_code=1, pixdim=(1, np.nan)), "qform leads to no place"),
        (setting(magic=b"ni1\0"), "one of a pair"),
        (setting(magic=b"what"), "does not begin with such a header"),
    ],
)
def test_a_header_that_cannot_be_is_refused(
    tmp_path: Path, change: Change, said: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path / "scan.nii", raw_image(change))
    if said is None:
        assert_array_equal(nifti.open_nifti(path).affine, AFFINE)
    else:
        with pytest.raises(UserError, match=f"scan.nii: .*{said}") as caught:
            nifti.open_nifti(path)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("a.nii", b"", "does not begin with such a header"),
        ("a.nii", b"\0" * 1000, "does not begin with such a header"),
        ("a.nii.gz", b"no archive", "Not a gzipped file"),
        ("a.nii.gz", gzip.compress(b"no image", mtime=0), "does not begin with such a header"),
        ("a.nii.gz", gzip.compress(raw_image(), mtime=0)[:200], "ended before"),
        ("a.mgz", raw_image(), "neither .nii nor .nii.gz"),
        ("a.nii", b"/annex/objects/MD5E-s1--0.nii\n", "not been fetched"),
        ("a.nii.gz", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_is_no_nifti_file_is_refused(tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match=f"{name}.*{said}"):
        nifti.open_nifti(tmp_path / name)


def test_a_link_to_content_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to("../.git/annex/objects/xx/yy/MD5E-s1--0/MD5E-s1--0.nii.gz")
    with pytest.raises(UserError, match="a.nii.gz: its content has not been fetched.*datalad get"):
        nifti.open_nifti(tmp_path / "a.nii.gz")
    with pytest.raises(UserError, match="has not been fetched"):
        masked.file_identity(tmp_path / "a.nii.gz")


def test_what_a_header_asks_for_is_not_allocated(tmp_path: Path) -> None:
    """2.5 TB are asked for by 900 bytes: no more than the file could hold is ever read."""
    path = put(tmp_path / "a.nii.gz", raw_image(setting(dim=[4, 250, 250, 250, 32767, 1, 1, 1], datatype=64)))
    tracemalloc.start()
    with pytest.raises(
        UserError, match="a.nii.gz: its header states 4,095,875,000,352 bytes of data, more than"
    ):
        nifti.open_nifti(path)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def damaged(raw: bytes) -> bytes:
    """Flip a bit of the check sum at an archive's end."""
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda raw: gzip.compress(raw)[:-300], r"truncated in volume \d of 7"),
        (lambda raw: gzip.compress(raw)[:-4], "truncated after its last volume"),
        (lambda raw: damaged(gzip.compress(raw)), "damaged after its last volume"),
        (lambda raw: gzip.compress(raw[:-1]), "truncated in volume 7 of 7"),
        (lambda raw: gzip.compress(raw + b"x"), "holds more than its header's dimensions"),
    ],
)
def test_an_archive_is_read_to_its_end_whatever_is_used_of_it(
    tmp_path: Path, spoil: Callable[[bytes], bytes], said: str
) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(spoil(raw_image(data=np.random.default_rng(0).integers(0, 999, (*SHAPE, N_TRS)))))
    image = open_image(path)
    for scan in (Scan(path, 0, N_TRS, whole=True), Scan(path, 1, 2)):
        with pytest.raises(UserError, match=f"a.nii.gz: {said}"):
            list(scan_volumes(scan, image))


def test_part_of_a_scan_is_that_part(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii.gz", raw_image())
    values = np.stack(list(scan_volumes(Scan(path, 2, 3), open_image(path))), axis=-1)
    assert_array_equal(values, np.asarray(nib.load(path).dataobj)[..., 2:5])


@pytest.mark.parametrize(
    ("shape", "n_dims"), [((6, 5, 4, 7, 1, 1), 4), ((6, 5, 4, 1), 4), ((6, 5, 4), 3), ((6, 5, 4, 1, 7), 5)]
)
def test_a_scan_has_four_dimensions_and_ones_after_them(
    tmp_path: Path, shape: tuple[int, ...], n_dims: int
) -> None:
    nib.Nifti1Image(np.ones(shape, np.int16), AFFINE).to_filename(tmp_path / "a.nii")
    if n_dims == 4:
        image = open_image(tmp_path / "a.nii")
        assert len(list(scan_volumes(Scan(tmp_path / "a.nii", 0, shape[3], whole=True), image))) == shape[3]
    else:
        with pytest.raises(UserError, match=f"has {n_dims} dimensions, a scan has 4"):
            open_image(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("sform", "qform", "apart"), [(4, 4, 9), (4, 1, 0), (1, 4, 9), (0, 4, 0), (4, 0, 0), (2, 1, 9), (0, 0, 0)]
)
def test_two_forms_of_one_space_are_compared(tmp_path: Path, sform: int, qform: int, apart: float) -> None:
    def change(header: Any) -> None:
        moved = AFFINE.copy()
        moved[1, 3] += 9
        header.set_qform(moved, code=qform)
        header["sform_code"] = sform

    image = nifti.open_nifti(put(tmp_path / "a.nii", raw_image(change)))
    assert nifti.millimetres_apart(image) == pytest.approx(apart)
    assert nifti.is_placed(image) == bool(sform or qform)
    names = ["unknown", "scanner", "aligned", "talairach", "mni"]
    assert nifti.space_of(image) == names[sform or qform]


# --- Broken files of every kind, through every reader ---

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3, 4, 7, 8, 9, 10, 16, 64, 128, 255, 348, 352, 512, 2304, 32767, -32768]),
    st.sampled_from([2**40, -(2**62), np.nan, np.inf, -np.inf, 1e-30, 3e38, 0.5, 1500.0, 352.5, -3.0]),
    st.floats(width=32),
)


@st.composite
def broken_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name and the bytes of a scan or mask with wrong fields, wrong bytes, or an end too early or too late."""
    kind = draw(st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]))
    shape = draw(st.sampled_from([SHAPE, (*SHAPE, N_TRS), (*SHAPE, 1)]))
    data = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 2, shape) * draw(
        st.sampled_from([1, -1, 255])
    )
    field = st.tuples(st.sampled_from(kind.header_class().keys()), st.integers(0, 7), NUMBERS)
    fields = draw(st.lists(field, max_size=3))

    def change(header: Any) -> None:
        for name, index, number in fields:
            dtype = header.structarr.dtype[name].base
            if dtype.kind == "S":
                continue
            if dtype.kind in "iu":
                limits = np.iinfo(dtype)
                number = int(min(max(np.nan_to_num(number), limits.min), limits.max))
            flat = np.atleast_1d(np.array(header[name])).ravel()
            with np.errstate(over="ignore"):
                flat[index % len(flat)] = number
            header[name] = flat.reshape(np.shape(header[name]))

    raw = spoilt(draw, raw_image(change, kind, data, draw(st.sampled_from(["<i2", "<f4", ">f8"]))))
    if draw(st.booleans()):
        return "sherlock_movie_s1.nii", raw
    return "sherlock_movie_s1.nii.gz", spoilt(draw, gzip.compress(raw, 1))


def spoilt(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes as they are, or some of them changed, cut off or added."""
    how = draw(st.sampled_from(["not", "not", "not", "changed", "cut", "longer"]))
    if how == "changed":
        changed = bytearray(raw)
        for place, value in draw(
            st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=5)
        ):
            changed[place] = value
        return bytes(changed)
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw) - 1))]
    return raw + draw(st.binary(min_size=1, max_size=40)) if how == "longer" else raw


def one_sentence(read: Callable[[], object]) -> object:
    """What a reader gives, or None if it refuses in one sentence; anything else fails the test."""
    said = ""
    try:
        return read()
    except UserError as error:
        said = str(error)
    assert "\n" not in said and "sherlock_movie_s1" in said
    return None


@given(file=broken_files())
@settings(
    max_examples=100 * TIMES, deadline=20_000, derandomize=TIMES == 1, suppress_health_check=list(HealthCheck)
)
def test_every_reader_gives_values_or_one_sentence(file: tuple[str, bytes]) -> None:
    name, raw = file
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        # The mask of a grid takes a second; what it makes of strange grids is tested beside it.
        patch.setattr(checker, "load_mask", lambda spec, affine, shape: np.ones(shape, bool))
        folder, path = Path(place), Path(place) / name
        path.write_bytes(raw)
        run = {"name": "1", "first_tr": 0, "n_trs": N_TRS}
        (folder / "study.yml").write_text(
            yaml.safe_dump({"name": "x", "shift_trs": 0, "subjects": [1], "runs": [run]})
        )

        mask = one_sentence(lambda: masks.load_mask(str(path), AFFINE, SHAPE))
        assert mask is None or (mask.shape == SHAPE and mask.dtype == bool and mask.any())  # type: ignore[attr-defined]

        def bold() -> np.ndarray:
            study = Study.open(folder)
            return masked.masked_bold(study, 1, np.ones(study.shape, bool), folder / "cache")

        read = one_sentence(bold)
        assert read is None or len(read) == N_TRS  # type: ignore[arg-type]
        report = checker.check_study(folder)
        assert all("\n" not in problem for problem in report.problems)
        assert read is not None or report.problems
