"""Training as in sections 3.3 and 3.4. Everything that varies is a function of the step."""
