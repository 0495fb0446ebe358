"""The paper's tables, figures and claims, beside the numbers that it prints."""
