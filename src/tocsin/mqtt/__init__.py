"""The broker: the connection, the publisher of the outbox, the schemas of what is published."""
