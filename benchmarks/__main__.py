"""``python -m benchmarks NAME ...``: the benchmarks by name."""

from benchmarks import commands, expressions, studies
from grammar_rae.cli.failures import Debug, new_app

app = new_app("benchmarks", "Measure grammar_rae: the paper's table and figures, and the package's own figures.")
for benchmark in (
    studies.images,
    studies.structured,
    studies.latent_space,
    studies.search,
    studies.goals,
    commands.text,
    commands.training,
    commands.adapting,
    commands.qsar,
    commands.coverage,
    commands.device,
    commands.profile,
    commands.constraints,
    commands.iteration,
    commands.steps,
    commands.sampling,
    commands.encode_file,
    commands.densities,
    commands.analogues,
    commands.editing,
    commands.fragments,
    commands.startup,
    commands.scale,
    commands.threads,
    expressions.expressions,
):
    app.command()(benchmark)


@app.callback()
def options(debug: Debug = False) -> None:
    """Read the options that all benchmarks have."""
    del debug  # failures.Commands acts on it


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
