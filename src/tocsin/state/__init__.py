"""What is read of contracts beside the journal: the log index, its file, and who is asked for it."""
