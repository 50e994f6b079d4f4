"""scikit-learn's protocol for estimators, spoken without it: it is imported only when it asks.

Whoever draws molecules needs none of scikit-learn, and importing its base class takes as long as importing PyTorch.
"""

import inspect
import sys
from typing import Any, Self

from grammar_rae.errors import InputError, TrainingError


class NotTrainedError(TrainingError, ValueError, AttributeError):
    """A model is used before it was trained; where scikit-learn is imported, it is its ``NotFittedError`` too."""


def not_trained() -> NotTrainedError:
    """The error of a model that was not trained; who can catch scikit-learn's own has imported it."""
    kind = NotTrainedError
    if "sklearn.exceptions" in sys.modules:
        from grammar_rae.model.not_fitted import NotFittedModelError

        kind = NotFittedModelError
    return kind("the model is not trained", remedy="Call fit, or load a saved model.")


class Estimator:
    """What scikit-learn asks of a transformer: its constructor only stores what it is passed."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(list(inspect.signature(cls.__init__).parameters)[1:])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name; with ``deep``, also those of arguments that have such, as ``a__b``."""
        found: dict[str, Any] = {}
        for name in self._parameter_names():
            value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found |= {f"{name}__{inner}": one for inner, one in value.get_params().items()}
            found[name] = value
        return found

    def set_params(self, **params: Any) -> Self:
        """Replace some of the constructor's arguments, and return the estimator.

        Raises
        ------
        InputError
            For a name that is none of them.
        """
        names = self._parameter_names()
        for name, value in params.items():
            outer, nested, inner = name.partition("__")
            if outer not in names:
                raise InputError(
                    f"Invalid parameter {name!r} of {type(self).__name__}", expected=f"one of {', '.join(names)}"
                )
            if nested:
                getattr(self, outer).set_params(**{inner: value})
            else:
                setattr(self, outer, value)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit, then ``transform`` the same data."""
        fitted: Any = self
        return fitted.fit(X, y, **fit_params).transform(X)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """scikit-learn's view of the arguments, for notebooks."""
        from sklearn.utils import estimator_html_repr

        return {"text/plain": repr(self), "text/html": estimator_html_repr(self)}

    def __repr__(self) -> str:
        usual = inspect.signature(type(self).__init__).parameters
        chosen = {name: value for name, value in self.get_params(deep=False).items() if value != usual[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in chosen.items())})"
