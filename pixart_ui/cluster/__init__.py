"""Workers of a Ray cluster on the app's own queue; Ray itself is imported in `ray_port.py` alone."""
