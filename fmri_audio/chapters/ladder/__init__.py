"""Chapter 6, where the sound is lost: what its tables, figures and sentences are made from.

==================================================  ============================================================
:mod:`~fmri_audio.chapters.ladder.rungs`            every arm, every width, and one currency
:mod:`~fmri_audio.chapters.ladder.training`         what training adds; frozen or fine-tuned
:mod:`~fmri_audio.chapters.ladder.voxels`           through voxels and the response; read from brains
:mod:`~fmri_audio.chapters.ladder.players`          to hear, and one rung measured again
==================================================  ============================================================
"""
