"""Files ↔ arrays: the only package that handles formats, scales by 255 or 65535, and rounds.

Colours stay in the file's own RGB or gray space, and its ICC profile is copied. Only CMYK
and Lab are converted, to sRGB. Pictures are upright: EXIF orientation is applied.
"""
