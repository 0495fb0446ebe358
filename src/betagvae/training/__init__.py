"""Trainings, from the first step to the files of each."""
