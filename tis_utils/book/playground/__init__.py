"""The selection playground: scenes computed here, replayed by a page."""
