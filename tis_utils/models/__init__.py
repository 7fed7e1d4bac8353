"""A causal language model: load it, batch texts for it, fine-tune it, evaluate it."""
