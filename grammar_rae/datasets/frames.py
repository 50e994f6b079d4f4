"""Data frames of pandas and polars, told by what they can do: neither is imported to look at one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grammar_rae.datasets.records import BESIDE, distinct_names, identifies

if TYPE_CHECKING:
    import pandas as pd


def is_frame(source: object) -> bool:
    """Whether something is a data frame of pandas or polars."""
    return hasattr(source, "columns") and hasattr(source, "shape") and (hasattr(source, "iloc") or _is_polars(source))


def _is_polars(frame: object) -> bool:
    return hasattr(frame, "get_columns") and hasattr(frame, "with_columns")


def frame_names(frame: Any) -> list[Any]:
    """The names of its columns."""
    return list(frame.columns)


def frame_column(frame: Any, place: int) -> Iterable[Any]:
    """The values of a column by its place."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:, place]  # type: ignore[no-any-return]
    return frame.get_columns()[place].to_list()  # type: ignore[no-any-return]


def join_columns(
    names: Sequence[str], cells: Sequence[tuple[Any, ...]], head: Mapping[str, Any], tail: Mapping[str, Any]
) -> "pd.DataFrame":
    """A table of results with what stood beside the texts: identifiers, the head, the other columns, the tail.

    Parameters
    ----------
    names, cells
        The columns beside the texts, and their values in each of the N rows. One that has the name of a result, too,
        gets the suffix ``_in``.
    head, tail
        Name -> N values of a result.
    """
    import pandas as pd

    new = distinct_names(names, [*head, *tail], BESIDE)
    columns = {name: pd.Series([row[place] for row in cells], dtype=object) for place, name in enumerate(new)}
    first = [name for old, name in zip(names, new, strict=True) if identifies(old)]
    rest = [name for name in new if name not in first]
    return pd.DataFrame(
        {name: columns[name] for name in first} | dict(head) | {name: columns[name] for name in rest} | dict(tail)
    )


def as_pandas(frame: Any) -> "pd.DataFrame":
    """A data frame of pandas as it is, and one of polars with the same columns."""
    import pandas as pd

    if hasattr(frame, "iloc"):
        return frame  # type: ignore[no-any-return]
    return pd.DataFrame({name: list(frame_column(frame, place)) for place, name in enumerate(frame.columns)})


def like(frame: Any, found: "pd.DataFrame") -> Any:
    """A table of results as the kind of frame that a frame is."""
    if hasattr(frame, "iloc"):
        return found
    columns = {}
    for name in map(str, found.columns):
        values = found[name]
        columns[name] = (
            values if values.dtype.kind == "f" else values.astype(object).where(values.notna(), None)
        ).tolist()
    return type(frame)(columns)


def extend_frame(frame: Any, rows: Sequence[int], results: Mapping[str, Any]) -> Any:
    """Some rows of a frame, and a column for each result behind its own; one of the same name gets the suffix ``_in``.

    Parameters
    ----------
    frame
        A frame of pandas, whose index is kept, or of polars.
    rows
        The places of K rows.
    results
        Name -> K values.
    """
    names = distinct_names(frame_names(frame), list(results), BESIDE)
    if not hasattr(frame, "iloc"):
        kept = dict(zip(names, frame[list(rows)].get_columns(), strict=True))
        return type(frame)(kept | {name: list(values) for name, values in results.items()})
    import pandas as pd

    table = frame.iloc[list(rows)].set_axis(list(names), axis=1)
    return pd.concat([table, pd.DataFrame(dict(results), index=table.index)], axis=1)
