"""One module per figure; each prints one JSON object as its last line."""
