"""What scikit-learn asks of its estimators, and its own checks of it, on models of texts and of images."""

from typing import Any

import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator

from grammar_rae.model import ImageModel, TextModel

# They fit on tables of random numbers, where these models take texts or images.
ON_TABLES = """
    complex_data dict_unchanged dont_overwrite_parameters dtype_object estimator_sparse_array estimator_sparse_matrix
    estimator_sparse_tag estimators_dtypes estimators_empty_data_messages estimators_fit_returns_self
    estimators_nan_inf estimators_overwrite_params estimators_pickle f_contiguous_array_estimator fit1d
    fit2d_1feature fit2d_1sample fit2d_predict1d fit_check_is_fitted fit_idempotent fit_score_takes_y
    methods_sample_order_invariance methods_subset_invariance n_features_in n_features_in_after_fitting
    pipeline_consistency positive_only_tag_during_fit readonly_memmap_input transformer_data_not_an_array
    transformer_general transformer_preserve_dtypes
"""
EXPECTED = {f"check_{name}": "its data are texts or images, not tables of numbers" for name in ON_TABLES.split()}
WITHOUT_DATA = """
    do_not_raise_errors_in_init_or_set_params estimator_cloneable estimator_repr estimator_tags_renamed
    estimators_unfitted get_params_invariance mixin_order no_attributes_set_in_init parameters_default_constructible
    set_params transformer_n_iter transformers_unfitted valid_tag_types
"""


@pytest.mark.parametrize(("kind", "more"), [(TextModel, {"errors": "raise"}), (ImageModel, {})])
def test_constructor_only_stores(kind: type[Any], more: dict[str, str]) -> None:
    overrides = {"latent": 3}
    model = kind("no such recipe", epochs=-5, overrides=overrides)
    expected = {"recipe": "no such recipe", "epochs": -5, "time_limit": None, "seed": 0, "overrides": overrides}
    assert model.get_params() == expected | more
    assert model.overrides is overrides


@pytest.mark.parametrize("kind", [TextModel, ImageModel])
def test_check_estimator(kind: type[Any]) -> None:
    class OfTables(kind):  # type: ignore[misc]
        """Declares that it takes tables, as the checks stop before they begin otherwise."""

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.input_tags.two_d_array = True
            return tags

    results = check_estimator(OfTables(), expected_failed_checks=EXPECTED, on_skip=None, on_fail="raise")
    passed = {one["check_name"] for one in results if one["status"] == "passed"}
    assert passed >= {f"check_{name}" for name in WITHOUT_DATA.split()}


@pytest.mark.parametrize("kind", [TextModel, ImageModel])
def test_what_it_declares_keeps_the_checks_of_tables_away(kind: type[Any]) -> None:
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(kind())
    assert [one["check_name"] for one in results] == ["check_estimator_cloneable"]
