"""Training as in sections 3.3 and 3.4: what varies, varies with the step alone."""
