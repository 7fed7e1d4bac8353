"""Run specs become fine-tuned models, fine-tuned models become tidy rows."""
