"""Data sets on generalised geodesics: hulls of labelled data sets around a base, and transfer by training on their best point."""
