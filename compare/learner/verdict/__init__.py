"""The verdict: the right gradients, and whether a program gives them."""
