"""The trained thing, and what it draws."""

from grammar_rae.model.generative import GenerativeModel
from grammar_rae.model.samples import SampleResult
from grammar_rae.model.sources import DATA_FOLDER

__all__ = ["DATA_FOLDER", "GenerativeModel", "SampleResult"]
