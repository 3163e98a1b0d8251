"""Comparisons of many training runs at equal budgets: the paper's Tables 1 to 4 and Figure 4."""
