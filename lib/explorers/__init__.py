"""One widget explorer per study: a pure function from a state to what is to be seen, and thin wiring."""
