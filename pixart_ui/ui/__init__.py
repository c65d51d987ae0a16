"""The page: Gradio's form on the left, what the journal says on the right. Imports no torch."""

from pixart_ui.ui.gradio_import import import_gradio

import_gradio()
