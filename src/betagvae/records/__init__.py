"""Files that appear whole or not at all, and what they say of how they came about."""
