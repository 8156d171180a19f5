"""Find a forward and a backward pass in a file, and call them."""
