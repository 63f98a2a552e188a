"""Fixtures that tests of simulation share with those of studies on disk."""

from tests.study.conftest import sound, study_folder

__all__ = ["sound", "study_folder"]
