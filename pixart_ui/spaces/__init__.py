"""Running as a Hugging Face Space: which kind it is, and pictures on ZeroGPU."""
