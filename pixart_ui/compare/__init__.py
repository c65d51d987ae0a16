"""Comparisons: one request under several precisions or strategies, with pictures, figures and memory side by side."""
