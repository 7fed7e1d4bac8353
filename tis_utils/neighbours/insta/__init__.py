"""INSTA: select whole tasks by their instructions (Lee et al. 2024, arXiv 2404.16418)."""

from tis_utils import hand_on

NAMES = {
    "tis_utils.neighbours.insta.alignment": "alignment_pairs",
    "tis_utils.neighbours.insta.claims": "GAP PREDICTS QUESTIONS by_count judge judge_models judge_transfer judged "
    "lead leads",
    "tis_utils.neighbours.insta.pool_tasks": "tasks_of",
    "tis_utils.neighbours.insta.rivals": "RIVALS",
    "tis_utils.neighbours.insta.robustness": "first_tasks left_out_cost mixtures "
    "one_wording_overlap worse_than_untuned",
    "tis_utils.neighbours.insta.scores": "score_tasks top_tasks",
    "tis_utils.neighbours.insta.selector": "RATE alignment_tasks embedded instructions "
    "target_family target_instruction",
    "tis_utils.neighbours.insta.task_cards": "CARDS",
    "tis_utils.neighbours.insta.transfer_correlation": "KINDS correlation_table foreign "
    "scores_by transfer_correlations",
}
__getattr__ = hand_on(__name__, NAMES)
