"""Weight ensembles: which fine-tuned models to average, how far apart they lie, and maps of both."""
