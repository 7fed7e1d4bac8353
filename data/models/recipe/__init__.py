"""Pre-train the tiny base model of the classroom from nothing: ``python -m recipe``.

Minutes on two CPU cores; the result is shipped in ``data/models/tiny``, so no chapter waits for it.
"""

from recipe.loop import train
from recipe.release import pretrain
from recipe.settings import Settings
from recipe.tokenizer import train_tokenizer

__all__ = ["Settings", "pretrain", "train", "train_tokenizer"]
