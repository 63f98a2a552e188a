"""Files that are only pointers to their content."""

import pytest

from fmri_audio.errors import UserError
from fmri_audio.files import refuse_unfetched

KEY = "SHA256E-s1048576--0123456789abcdef.nii.gz"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"/annex/objects/{KEY}\n", "datalad get scan.nii.gz"),
        (f"../../.git/annex/objects/xX/Yy/{KEY}/{KEY}", "datalad get scan.nii.gz"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
    ],
)
def test_a_pointer_in_place_of_content_is_named(tmp_path, content, said):
    path = tmp_path / "scan.nii.gz"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        refuse_unfetched(path)


def test_an_annexed_link_that_leads_nowhere_is_named(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.symlink_to(f"../.git/annex/objects/xX/Yy/{KEY}/{KEY}")
    with pytest.raises(UserError, match="datalad get"):
        refuse_unfetched(path)


def test_what_was_fetched_passes_and_so_does_what_others_report(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0annex/objects/")
    (tmp_path / "broken.wav").symlink_to("nowhere.wav")
    for name in ("a.wav", "broken.wav", "missing.wav"):
        refuse_unfetched(tmp_path / name)
