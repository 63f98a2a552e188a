"""A small tree laid out as StudyForrest's aggregate, whose brains follow the level and the words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fmri_audio.brain.response import canonical_response
from fmri_audio.study.layouts.studyforrest import BEGINS, LEVEL, WORDS

N_TRS = (90, 84, 88)
FRAME = 0.04
SUBJECTS = ("01", "02", "05")
#: Column labels; the second subject lacks the third.
LABELS = [str(k) for k in (1, 2, 3, 4, 56, 57, 210, 211, 212, 278)]


def forrest(root: Path, *, follow: float = 1.0, seed: int = 0, subjects: tuple[str, ...] = SUBJECTS) -> Path:
    """Write the tree; ``follow`` is how strongly brains answer the sound."""
    rng = np.random.default_rng(seed)
    rows = ["start,end,person,text"]
    for k, n_trs in enumerate(N_TRS):
        n = round(n_trs * 2 / FRAME)
        slow = np.cumsum(rng.standard_normal(n // 50 + 2))
        rms = 10 ** np.interp(
            np.arange(n) / 50, np.arange(len(slow)), -1.5 + 0.4 * (slow - slow.mean()) / slow.std()
        )
        path = root / LEVEL.format(index=k)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"{i * FRAME:.2f}\t{FRAME}\t{value:.8f}" for i, value in enumerate(rms))
        path.write_text("onset\tduration\trms\n" + "\n".join(lines) + "\n")
        level = np.log10((rms.reshape(n_trs, -1) ** 2).mean(axis=1))
        begins, words = float(BEGINS[k]), np.zeros(n_trs)
        for tr in range(1, n_trs, 4):
            count = int(rng.integers(1, 9))
            words[tr] = count
            rows.append(
                f'{begins + 2 * tr:.2f},{begins + 2 * tr + 2:.2f},"SAYS","{" ".join(["word,"] * count)}"'
            )
        drive = [(x - x.mean()) / x.std() for x in (level, words)]
        heard = [np.convolve(x, canonical_response(0.5))[:n_trs] for x in drive]
        for subject in subjects:
            bold = rng.standard_normal((n_trs, len(LABELS)))
            bold[:, 4] += 3 * follow * heard[0]
            bold[:, 6] += 3 * follow * heard[1]
            kept = [i for i in range(len(LABELS)) if not (subject == subjects[-1] and i == 2)]
            table = root / f"sub-{subject}/shen_fconn/sub-{subject}_task-avmovie_run-{k + 1}_bold.csv"
            table.parent.mkdir(parents=True, exist_ok=True)
            body = [",".join(f"{value:.10f}" for value in row) for row in bold[:, kept]]
            table.write_text("\n".join([",".join(LABELS[i] for i in kept), *body]) + "\n")
    (root / WORDS).parent.mkdir(parents=True)
    (root / WORDS).write_text("\n".join(rows) + "\n")
    return root
