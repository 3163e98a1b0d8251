"""Find the work, run it, resume it: pictures and clips alike."""
