"""Disentanglement scores: pure functions of codes, factors and a random generator.

``registry.compute_scores`` runs all of them; a new score is a module with a pure function and its
``SCORE``, and a line of ``registry.py``.

Suffixes name dimensions: N images, L latents, K factors that vary. A code is the posterior
mean, as in Locatello et al. 2019 ("Challenging common assumptions"), whose protocol sets the
default sizes.

Ambiguous orientations (dSprites)
---------------------------------
A square looks the same after 90°, an ellipse after 180°, while the orientation factor runs
through 360° (and its first and last class are the same image). The protocol keeps these labels,
and so do these scores: numbers stay comparable with the literature, and every score that
predicts or explains the orientation has a ceiling below 1. Even a code that knows the shape
misses (ln 4 + ln 2 + 0) / 3 = 0.69 of the orientation's ln 40 = 3.69 nats, so at most about 81 %
of it can be explained; relabelling per shape would make the factor depend on the shape, which
all scores assume it does not. For scores without the ambiguity, pass the rows of the hearts
only: the shape is then constant and drops out.
"""
