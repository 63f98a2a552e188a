"""Functions that count or try what a claim of the research note is about; ``claims.yml`` calls them by name.

Each returns its cases: a label, a number or a text, and what it rests on. Nothing here is quoted: shapes come from
arrays, sizes from networks that are built (without their weights, which sizes do not depend on), licences from the
package that is installed.
"""

from __future__ import annotations

from fmri_audio.claims.functions import alternatives, as_written, encodec, ladder, literature, sizes, tables
from fmri_audio.claims.functions.registry import REGISTRY

__all__ = ["REGISTRY", "alternatives", "as_written", "encodec", "ladder", "literature", "sizes", "tables"]
