"""Reading the results of many trainings, and summarising them over seeds."""
