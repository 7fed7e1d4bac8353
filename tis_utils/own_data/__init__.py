"""Your files in, a subset and a report out (``tis select``)."""
