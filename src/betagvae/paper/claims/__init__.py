"""A verdict for each of the paper's claims, from the numbers of all trainings.

``judging`` goes from files to files. ``definition`` reads what is claimed, ``gathering`` finds the
numbers, ``comparison`` sets two methods side by side, ``statistics`` says what seeds can show,
``verdicts`` decides, ``page`` writes it down.
"""
