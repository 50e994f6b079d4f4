"""Measurements that anybody can repeat: each gives rows of figures, with what is needed to read them."""
