"""`python -m factalign` runs the default pipeline, like `kedro run` in the project folder."""

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main() -> None:
    """Run the project's `run` command with the arguments of the command line."""
    configure_project("factalign")
    find_run_command("factalign")()


if __name__ == "__main__":
    main()
