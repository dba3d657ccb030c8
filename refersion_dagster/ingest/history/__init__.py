"""What each conversion went through, when it was read, and which rows are gone at the source."""
