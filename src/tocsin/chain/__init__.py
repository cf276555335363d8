"""What the chain says: header hashing, the observation tree, independence groups, agreement, node states. Pure."""
