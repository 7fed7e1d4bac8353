"""Rows become statements with intervals."""

from tis_utils.evidence.claims import scorecard
from tis_utils.evidence.published import published_figures

__all__ = ["published_figures", "scorecard"]
