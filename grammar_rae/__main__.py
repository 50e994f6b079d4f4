"""``python -m grammar_rae`` is ``grammar-rae``."""

from grammar_rae.cli import main

if __name__ == "__main__":
    main()
