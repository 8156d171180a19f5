"""Time a training step of both models, and measure the memory of long sequences."""
