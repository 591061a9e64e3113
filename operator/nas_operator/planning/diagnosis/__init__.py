"""What is wrong with the pods of a search, as a reason and a message that says what to do."""
