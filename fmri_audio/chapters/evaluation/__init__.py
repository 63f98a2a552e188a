"""Chapter 7, from brains to sound: a module for each of its sections, in the chapter's order.

==================================================  ============================================================
:mod:`~fmri_audio.chapters.evaluation.opening`      what is opened, and the words for it
:mod:`~fmri_audio.chapters.evaluation.helping`      did training help?
:mod:`~fmri_audio.chapters.evaluation.earlier`      what bandwidth buys, before any brain
:mod:`~fmri_audio.chapters.evaluation.decodes`      the block's sounds under every condition, and their scores
:mod:`~fmri_audio.chapters.evaluation.distances`    what the scores say, arm by arm and subject by subject
:mod:`~fmri_audio.chapters.evaluation.seeds`        from another start
:mod:`~fmri_audio.chapters.evaluation.noise`        how much noise can it bear?
:mod:`~fmri_audio.chapters.evaluation.segments`     which segment was heard?
:mod:`~fmri_audio.chapters.evaluation.by_sound`     by the sound alone
:mod:`~fmri_audio.chapters.evaluation.bits`         how many bits that is, and the ceiling
:mod:`~fmri_audio.chapters.evaluation.voxels`       what does a voxel follow?
:mod:`~fmri_audio.chapters.evaluation.calibrated`   can the test be trusted?
:mod:`~fmri_audio.chapters.evaluation.words`        do words arrive?
:mod:`~fmri_audio.chapters.evaluation.clips`        heard
==================================================  ============================================================
"""
