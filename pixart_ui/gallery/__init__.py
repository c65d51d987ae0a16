"""Finished pictures: PNG files that carry everything needed to make them again."""
