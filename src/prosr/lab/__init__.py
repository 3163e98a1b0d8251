"""Comparisons of many runs (Tables 1 to 4, Figure 4), score tables, benchmarks, quantization."""
