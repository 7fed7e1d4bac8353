"""Rows become statements with intervals."""

from tis_utils import hand_on

NAMES = {
    "tis_utils.evidence.break_even": "break_even_table break_even_text",
    "tis_utils.evidence.claims": "grade_table graded page_scorecard scorecard versus",
    "tis_utils.evidence.cube": "lead_changes lead_estimate leads leads_text mean_leads",
    "tis_utils.evidence.query_means": "estimates_text over_queries per_query query_estimates",
    "tis_utils.evidence.nearness": "neighbourhood on_axes",
    "tis_utils.evidence.published": "EMBED LESS MODELS POOLS RDS by_setting independent_results published_figures",
    "tis_utils.evidence.ranks": "leave_one_out mean_ranks noise_regret rank_table rank_test regret",
    "tis_utils.evidence.selections": "DIVERSITY W1 all_picks below_random composition distances diversity "
    "halves_overlap ladder mean_overlap picks_of token_budgets",
    "tis_utils.evidence.statistics": "GRADES Estimate grade mean_estimate spearman",
    "tis_utils.evidence.tables": "RANDOM ZERO_SHOT aggregate as_figures complete",
}
__getattr__ = hand_on(__name__, NAMES)
