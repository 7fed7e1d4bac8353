"""INSTA: select whole tasks by their instructions (METHODS §7)."""
