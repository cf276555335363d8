"""Messages to people on their way: what waits in the store goes out through each channel, however often it takes."""
