"""What a worker can train: the built-in tasks, and a user's own."""
