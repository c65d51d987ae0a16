"""How the machine and this app's files are: disk, checkpoints, long work on them, memory over time, logs. No torch."""
