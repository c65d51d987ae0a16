"""The queue: jobs, their journal, the worker that runs them and the supervisor that keeps it running."""
