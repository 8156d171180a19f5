"""One HTML file to read: each cell by hand next to its torch counterpart, with the numbers of every step."""
