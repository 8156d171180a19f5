"""The exercises: their texts, problems and answers."""
