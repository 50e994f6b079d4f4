"""The error of a model that was not trained, as scikit-learn knows it; imported only where scikit-learn is."""

from sklearn.exceptions import NotFittedError

from grammar_rae.model.estimator import NotTrainedError


class NotFittedModelError(NotTrainedError, NotFittedError):  # type: ignore[misc]
    """A :class:`NotTrainedError` that is scikit-learn's ``NotFittedError``."""
