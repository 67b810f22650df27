"""What the Makefile calls: the learner's copies and the stored notebooks. Not part of the package."""
