"""Check other people's files in a sandbox."""
