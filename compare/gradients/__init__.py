"""Compare every gradient of one batch, by hand and by autograd."""
