"""Molecules that contain a template: ``decorate``."""

from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, formats, preflight


def decorate(
    template: Annotated[
        str,
        typer.Argument(
            help="A SMILES with points, such as 'c1ccc([*:1])cc1C(=O)N[*:2]'; two pieces with a point of the same "
            "number are linked.",
            show_default=False,
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    n: Annotated[int, typer.Option("-n", help="The number of different molecules.")] = 100,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMITS",
            help="What may grow at a point, such as '1: max-heavy-atoms=6 elements=CNO ring-sizes=5,6 optional'; may "
            "be repeated.",
            show_default=False,
        ),
    ] = None,
    rings: Annotated[
        bool, typer.Option("--rings", help="Close rings between two points of one piece with the same number.")
    ] = False,
    output: arguments.Output = files.STDOUT,
    orders: Annotated[
        int | None,
        typer.Option(help="Orders of the template's atoms to try, of which the likeliest is taken.", show_default="8"),
    ] = None,
    pool: Annotated[
        int | None,
        typer.Option(help="How many times as many to draw, of which the likeliest are kept.", min=1, show_default="4"),
    ] = None,
    scores: arguments.Scores = "",
    seed: arguments.OptionalSeed = None,
    constraint: arguments.Constraint = None,
) -> None:
    """Draw molecules that contain a scaffold or join two pieces."""
    files.check_writable(output, formats=formats.TABLES)
    asked = " | ".join([template, *(point or [])])
    preflight.check_scores(arguments.names(scores))
    preflight.check_constraint(constraint)
    preflight.check_model(model)
    preflight.check_template(asked, rings)
    from grammar_rae.model import TextModel

    frame = TextModel.load(model).decorate(
        asked,
        n,
        rings=rings,
        orders=orders,
        pool=pool,
        scores=arguments.names(scores),
        seed=seed,
        constraint=arguments.constraint_text(constraint),
    )
    files.write_frame(output, frame)
    report = frame.attrs["report"]
    files.note(
        f"{len(frame)} molecules of {report['template']}: {report['attempts']} texts, {report['valid']:.1%} valid, "
        f"{report['duplicates']:.1%} repeated, {report['implausible']:.1%} implausible"
    )
