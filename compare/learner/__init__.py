"""Exercises for learners, and a check that names the wrong line of a backward pass."""
