"""What a learner needs: the ladder of exercises, and a check that names the line which is wrong."""
