"""Run specs become fine-tuned models, fine-tuned models become tidy rows."""

from tis_utils import hand_on

NAMES = {
    "tis_utils.experiments.grids": "GRIDS PAPER_SELECTORS",
    "tis_utils.experiments.reproduce": "recheck recheck_text",
    "tis_utils.experiments.subset": "distance_bin",
    "tis_utils.experiments.run_spec": "BINS NONE RunSpec grid quantile_grid zero_shot",
    "tis_utils.experiments.study": "Study",
}
__getattr__ = hand_on(__name__, NAMES)
