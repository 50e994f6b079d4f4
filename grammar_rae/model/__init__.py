"""The trained thing, and what it draws."""

from grammar_rae.model.generative import DATA_FOLDER, GenerativeModel
from grammar_rae.model.samples import SampleResult

__all__ = ["DATA_FOLDER", "GenerativeModel", "SampleResult"]
