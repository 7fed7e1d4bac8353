"""Execute the notebooks, render the book."""
