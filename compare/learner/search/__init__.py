"""Which line is wrong, and which change makes everything right?"""
