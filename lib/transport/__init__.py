"""Optimal transport: couplings with certificates, distances between labelled data sets, and paths between them."""
