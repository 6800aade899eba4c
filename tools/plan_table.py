"""Write the device plans of README from the planner: `python -m tools.plan_table`."""

from pathlib import Path

from idvid.pipeline.plan_text import plan_table

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- plan:begin -->\n", "<!-- plan:end -->"


def main() -> None:
    """Replace what stands between the two marks."""
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}{plan_table()}{END}{after}")


if __name__ == "__main__":
    main()
