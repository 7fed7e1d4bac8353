"""INSTA: select whole tasks by their instructions (Lee et al. 2024, arXiv 2404.16418)."""
