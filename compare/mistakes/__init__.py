"""Wrong backward passes, and which way of checking sees which."""
