"""Grammars, parsers and macro-productions: text to leftmost derivations and back, without PyTorch."""

from grammar_rae.grammar.cfg import Grammar, Production, read_grammar
from grammar_rae.grammar.macros import MAX_TOKENS, MacroTable, extend_macros, learn_macros
from grammar_rae.grammar.parse import ChartParser, CompiledParser, Derivations, Parser, parser_for, spell
from grammar_rae.grammar.rules import NEVER, Rules

__all__ = [
    "MAX_TOKENS",
    "NEVER",
    "ChartParser",
    "CompiledParser",
    "Derivations",
    "Grammar",
    "MacroTable",
    "Parser",
    "Production",
    "Rules",
    "extend_macros",
    "learn_macros",
    "parser_for",
    "read_grammar",
    "spell",
]
