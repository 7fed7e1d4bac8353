"""Rows become statements with intervals."""

from tis_utils import hand_on

__getattr__ = hand_on(
    __name__,
    {
        "tis_utils.evidence.break_even": ("break_even_table", "break_even_text", "stops_paying"),
        "tis_utils.evidence.claims": ("scorecard",),
        "tis_utils.evidence.cube": ("leads",),
        "tis_utils.evidence.query_means": ("estimates_text", "over_queries", "per_query", "query_estimates"),
        "tis_utils.evidence.nearness": ("neighbourhood", "on_axes"),
        "tis_utils.evidence.published": ("MODELS", "POOLS", "published_figures"),
        "tis_utils.evidence.ranks": ("mean_ranks", "rank_table", "rank_test"),
        "tis_utils.evidence.selections": ("all_picks", "below_random", "composition", "distances", "mean_overlap"),
        "tis_utils.evidence.statistics": ("spearman",),
        "tis_utils.evidence.tables": ("aggregate", "as_figures", "complete"),
    },
)
