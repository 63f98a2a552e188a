"""How alike two sounds are: metrics, one file each, that register themselves.

Conventions
-----------
SNR       10 log10(Σ r² / Σ (r − d)²), as they are: no scaling, no mean removed.
SI-SDR    the same after the reference is scaled to fit best (Le Roux et al. 2019), both without their mean.
PESQ      ITU-T P.862.2 (wide band) and P.862.1 (narrow band) MOS-LQO, by ``pesq``, at 16 kHz.
STOI      Taal et al. 2011, by ``pystoi``, between 0 and 1, at 16 kHz (which it brings to 10 kHz itself).
ESTOI     Jensen and Taal 2016, by ``pystoi``, like STOI: a mean correlation, about 0 for what has nothing of the sound.
ViSQOL    v3 in its speech mode with the lattice model (Chinen et al. 2020), by ``visqol-python``, MOS-LQO, at 16 kHz.
DNSMOS    P.835's overall quality (Reddy et al. 2022) of the degraded sound *alone*, by the model in ``speechmos``, at
          16 kHz. What a decoder makes without a brain can have as much of it as the original.
lag       samples (at 16 kHz) by which the degraded sound comes late, at the maximum of the cross-correlation.

speech    share of the reference that is speech, by :func:`fmri_audio.sound.segments.detect_segments`. PESQ, STOI,
          ESTOI, ViSQOL and DNSMOS are models of speech: they are undefined where less than a tenth is.

offset    A constant added to a sound is not heard. Lag, speech, STOI, ESTOI, ViSQOL and SI-SDR take both without their
          mean; PESQ too, but for a small offset that both share (:func:`fmri_audio.sound.metrics.pesq.pesq`). SNR
          counts it, and DNSMOS takes the sound as it is.
level     PESQ brings both to one level itself (P.862, 10.1.1), ViSQOL the degraded sound to the reference's. STOI,
          ESTOI and SI-SDR ignore gain; SNR and DNSMOS count it. How far the levels are apart is a score of its own.
          What rounding to 16 bits did to a sound that was far too quiet is in its samples, and every score counts it.
length    PESQ, STOI, ESTOI and ViSQOL are taken of up to 30 s at once. Of more they are means over pieces, cut in
          pauses (:mod:`fmri_audio.sound.pieces`), by the seconds of speech in each; pieces with less than a tenth are
          left out. PESQ is also cut where its library's table of utterances would not hold a piece. DNSMOS is a mean
          over windows of 9.01 s; a shorter sound is repeated until it fills one.

A score that is not defined (silence, no speech, too short, no utterance found) is NaN, never a number in its place,
and :attr:`fmri_audio.sound.metrics.evaluate.Scores.undefined` says why.
"""
