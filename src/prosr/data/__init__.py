"""Pictures to train on and pictures to be scored on."""
