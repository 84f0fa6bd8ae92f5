"""Soft labels for few images: what an early expert knows, handed to students through labels instead of pixels."""
