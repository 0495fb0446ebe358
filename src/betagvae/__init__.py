"""Reproduction of β-GVAE: data, training, evaluation, tables and figures."""

__version__ = "0.1.0"
