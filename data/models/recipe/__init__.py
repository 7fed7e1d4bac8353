"""Pre-train the tiny base model of the classroom from nothing: ``python -m tis_utils.pretraining``.

Minutes on two CPU cores; the result is shipped in ``data/models/tiny``, so no chapter waits for it.
"""

from tis_utils.pretraining.loop import train
from tis_utils.pretraining.release import pretrain
from tis_utils.pretraining.settings import Settings
from tis_utils.pretraining.tokenizer import train_tokenizer

__all__ = ["Settings", "pretrain", "train", "train_tokenizer"]
