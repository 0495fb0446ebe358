"""Data sets, from their sources to arrays of images; `registry` names them."""
