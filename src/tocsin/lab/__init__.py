"""What is done with history: replaying it, and asking what another configuration would have said."""
