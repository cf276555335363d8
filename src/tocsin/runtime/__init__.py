"""What makes a daemon of the core: task ownership, wiring, the control socket and the service manager."""
