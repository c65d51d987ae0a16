"""The page: Gradio's form on the left, what the journal says on the right. Imports no torch."""
