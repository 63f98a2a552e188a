"""NIfTI files: a header is checked before anything is allocated or believed, and volumes are read one at a time.

A file is taken as :mod:`nibabel` takes it, or refused in one sentence; extensions of the header are never read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.arrayproxy import ArrayProxy
from nibabel.imageglobals import logger
from nibabel.nifti1 import data_type_codes, unit_codes, xform_codes
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched

#: Voxels a volume may have: a whole brain at 0.8 mm.
MOST_VOXELS = 1 << 24
#: Voxels of a human brain are this large, and lie this near the origin, in mm.
VOXEL_MM, REACH_MM = (0.05, 100.0), 1e4
#: A TR is this long, in seconds; beyond, its unit is wrong.
TR_SECONDS = (0.01, 100.0)
#: Codes of a space that is a standard one: Talairach, MNI, another template.
STANDARD_CODES = (3, 4, 5)
#: Deflate packs at most so many bytes into one (1032), and a little room.
_DEFLATE_RATIO, _DEFLATE_ROOM = 1040, 1 << 16
#: Names of the types of number that are read: no colours, no complex numbers, no bits.
_NUMBERS = ("uint8", "int16", "int32", "float32", "float64", "int8", "uint16", "uint32", "int64", "uint64")
_BROKEN = (EOFError, OSError, zlib.error)
_PER_SECOND = {"unknown": 1, "sec": 1, "msec": 1e3, "usec": 1e6}


def open_nifti(path: Path) -> Any:
    """Open a NIfTI file without reading its data.

    Parameters
    ----------
    path : Path
        A single file, ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2.

    Returns
    -------
    Nifti1Image or Nifti2Image
        Its affine is the sform's if there is one, otherwise the qform's. With neither it is nibabel's guess, and
        :func:`is_placed` says so.

    Raises
    ------
    UserError
        The content was not fetched, it is no NIfTI file, or its header states what cannot be or cannot be used:
        dimensions, type of number, scale, units, place in space, or more data than the file can hold.
    """
    refuse_unfetched(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise UserError(
            f"{path}: cannot be read as NIfTI, its name ends in neither .nii nor .nii.gz; convert it"
        )
    header = _read_header(path)
    try:
        with _quietly():
            _check_layout(path, header)
            header.check_fix()  # as nibabel.load does: sizes of voxels below 0 lose their sign, for example
            affine = _checked_affine(path, header)
            kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
            image = kind(ArrayProxy(str(path), header.copy()), affine, header)
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: cannot be read as NIfTI ({error}); mend its header") from None
    _check_size(path, image)
    return image


def is_placed(image: Any) -> bool:
    """Whether the header says where the voxels lie: by a sform or a qform."""
    return int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0


def space_of(image: Any) -> str:
    """The space that the header's affine leads to: ``mni``, ``scanner`` …; ``unknown`` for a file without a place."""
    header = image.header
    return str(xform_codes.label[int(header["sform_code"]) or int(header["qform_code"])])


def millimetres_apart(image: Any) -> float:
    """How far apart sform and qform put the same corner of the volume, where both claim one kind of space.

    A qform in scanner coordinates beside a sform in a standard space is what NIfTI means them for, and counts as 0; a
    qform that is no rotation is infinitely far away.
    """
    header = image.header
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not sform or not qform or (sform in STANDARD_CODES and qform not in STANDARD_CODES):
        return 0.0
    try:
        other = header.get_qform()
    except (HeaderDataError, ValueError):
        return np.inf
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in image.shape[:3]), indexing="ij"), axis=-1)
    apart = np.linalg.norm(apply_affine(image.affine, corners) - apply_affine(other, corners), axis=-1).max()
    return float(apart) if np.isfinite(apart) else np.inf


def unplaced(path: Path) -> str:
    """The sentence about a file whose header has neither a sform nor a qform."""
    return (
        f"{path}: neither sform nor qform says where its voxels are, so no mask in MNI can be placed; copy the sform "
        "of the image it was made from"
    )


def seconds_per_volume(image: Any) -> float:
    """The TR that a scan's header states, in seconds; 0 where it states none."""
    return float(image.header["pixdim"][4]) / _PER_SECOND[image.header.get_xyzt_units()[1]]


def volumes(path: Path, image: Any) -> Iterator[np.ndarray]:
    """Yield the volumes of an image one after the other, float32 [x, y, z], so that it never lies in memory whole.

    Raises
    ------
    UserError
        The file ends before its last volume, a compressed one is damaged or ends before its check sum, or there is
        more in it than its header says.
    """
    proxy = image.dataobj
    shape, dtype = image.shape[:3], np.dtype(proxy.dtype)
    n_volumes = int(np.prod(image.shape[3:], dtype=np.int64))
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    slope, intercept = np.float32(proxy.slope), np.float32(proxy.inter)
    with ImageOpener(str(path)) as stream:
        for k in range(n_volumes):
            try:
                if k == 0:
                    stream.seek(proxy.offset)
                block = stream.read(n_bytes)
            except _BROKEN as error:
                raise _broken(path, f"in volume {k + 1} of {n_volumes}", error) from None
            if len(block) < n_bytes:
                raise _broken(path, f"in volume {k + 1} of {n_volumes}", EOFError())
            with np.errstate(over="ignore", invalid="ignore"):
                volume = np.frombuffer(block, dtype).reshape(shape, order="F").astype(np.float32)
                yield volume if slope == 1 and intercept == 0 else volume * slope + intercept
        try:
            more = stream.read(1)
        except _BROKEN as error:
            raise _broken(path, "after its last volume", error) from None
        if more:
            raise UserError(_longer(path))


def _broken(path: Path, where: str, error: BaseException) -> UserError:
    """What to say of a file that ends too early, or whose compressed bytes are not what was written."""
    return UserError(
        f"{path}: {'truncated' if isinstance(error, EOFError) else 'damaged'} {where}; copy it again"
    )


def _longer(path: Path) -> str:
    return (
        f"{path}: holds more than its header's dimensions need, so they or where the data begin (vox_offset) is wrong; "
        "mend the header or copy it again"
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep nibabel from writing to standard error what it mends: what matters is checked here."""
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _read_header(path: Path) -> Any:
    """The header as it stands in the file, unchecked."""
    try:
        with ImageOpener(str(path)) as stream:
            block = stream.read(nib.Nifti2Header.template_dtype.itemsize)
    except _BROKEN as error:
        what = getattr(error, "strerror", None) or str(error) or "it is empty or cut off"
        raise UserError(f"{path}: cannot be read as NIfTI ({what}); copy it again") from None
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        size = kind.template_dtype.itemsize
        if len(block) >= size and kind.may_contain_header(block):
            header = kind(block[:size], check=False)
            if header["magic"].item().startswith(b"ni"):
                raise UserError(
                    f"{path}: cannot be read as NIfTI, it is one of a pair; convert both to one .nii"
                )
            return header
    raise UserError(f"{path}: cannot be read as NIfTI (it does not begin with such a header); copy it again")


def _check_layout(path: Path, header: Any) -> None:
    """Refuse a header whose dimensions, numbers or units cannot be used."""
    n_dims = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : n_dims + 1])
    if not 1 <= n_dims <= 7 or min(shape) < 1:
        raise UserError(
            f"{path}: its header states dimensions that no image has, {n_dims}: {shape}; mend the header"
        )
    if int(np.prod(np.array(shape[:3], object))) > MOST_VOXELS:
        raise UserError(
            f"{path}: its volumes of {'×'.join(map(str, shape[:3]))} voxels are more than the {MOST_VOXELS:,} that are "
            "read; mend the header or resample it"
        )
    code = int(header["datatype"])
    label = str(data_type_codes.label.get(code, "unknown to NIfTI"))
    if label not in _NUMBERS:
        raise UserError(
            f"{path}: its values are of type {code} ({label}), not plain numbers; convert it to float32"
        )
    offset = float(header["vox_offset"])
    if not (offset.is_integer() and offset >= header.single_vox_offset):
        raise UserError(
            f"{path}: its data cannot begin at byte {offset:g} (vox_offset); copy it again or mend it"
        )
    _check_units(path, header, len(shape))
    for name in ("sform_code", "qform_code"):
        if int(header[name]) not in xform_codes.value_set("code"):
            raise UserError(
                f"{path}: its {name} {int(header[name])} is none that NIfTI knows; mend the header"
            )


def _check_units(path: Path, header: Any, n_dims: int) -> None:
    """Refuse units that NIfTI does not know or that are not read, and a TR that none can be."""
    code = int(header["xyzt_units"])
    space, time = (unit_codes.label.get(part) for part in (code % 8, code - code % 8))
    if space is None or time is None:
        raise UserError(
            f"{path}: its units (xyzt_units {code}) are none that NIfTI knows; set them to mm and seconds"
        )
    if space not in ("unknown", "mm"):
        raise UserError(f"{path}: its header counts space in {space}, only mm are read; rewrite it in mm")
    if n_dims < 4:
        return
    if time not in _PER_SECOND:
        raise UserError(
            f"{path}: its fourth dimension is counted in {time}, not in time; give a scan over time"
        )
    tr = float(header["pixdim"][4])
    if tr != 0 and not TR_SECONDS[0] <= tr / _PER_SECOND[time] <= TR_SECONDS[1]:
        unit = "seconds, no unit being stated" if time == "unknown" else time
        raise UserError(
            f"{path}: its header says a TR of {tr:g} {unit}; correct pixdim[4] or its unit (xyzt_units)"
        )


def _checked_affine(path: Path, header: Any) -> np.ndarray:
    """The affine from voxels to mm, if it can be one."""
    affine = np.asarray(header.get_best_affine(), float)
    form = "sform" if header["sform_code"] else "qform" if header["qform_code"] else "pixdim"
    with np.errstate(all="ignore"):
        sizes = voxel_sizes(affine)
        volume = abs(np.linalg.det(affine[:3, :3])) if np.isfinite(affine).all() else np.nan
        flat = not volume > 1e-3 * np.prod(sizes)
    far = not (np.abs(affine[:3, 3]) <= REACH_MM).all()
    if flat or far or not ((sizes >= VOXEL_MM[0]) & (sizes <= VOXEL_MM[1])).all():
        told = "×".join(f"{size:g}" for size in sizes)
        raise UserError(
            f"{path}: its {form} leads to no place in a brain (voxels of {told} mm"
            f"{', flat' if flat else ''}{', far away' if far else ''}); mend the header"
        )
    return affine


def _check_size(path: Path, image: Any) -> None:
    """Refuse a file that cannot hold what its header states, before any of that is allocated."""
    n_volumes = int(np.prod(np.array(image.shape[3:], object)))
    per_volume = int(np.prod(image.shape[:3])) * image.dataobj.dtype.itemsize
    there, needed = path.stat().st_size, int(image.dataobj.offset) + n_volumes * per_volume
    if path.suffix.lower() == ".gz":
        if needed > _DEFLATE_RATIO * there + _DEFLATE_ROOM:
            raise UserError(
                f"{path}: its header states {needed:,} bytes of data, more than the file can hold; mend the header or "
                "copy it again"
            )
    elif there < needed:
        whole = max(0, there - int(image.dataobj.offset)) // per_volume
        raise _broken(path, f"in volume {whole + 1} of {n_volumes}", EOFError())
    elif there > needed:
        raise UserError(_longer(path))
