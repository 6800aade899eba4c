"""Write the file map of ARCHITECTURE.md from the modules' docstrings: `python -m tools.file_map`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- map:begin -->\n", "<!-- map:end -->"


def row(module: Path) -> str:
    """The path of a module and the first paragraph of its docstring."""
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    meaning = " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|")
    return f"| `{module.relative_to(ROOT)}` | {meaning} |"


def main() -> None:
    """Replace what stands between the two marks."""
    package = ROOT / "idvid"
    modules = sorted(package.rglob("*.py"), key=lambda p: (p.parent != package, str(p)))
    rows = [row(module) for module in modules if module.name != "__init__.py"]
    page = ROOT / "ARCHITECTURE.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(["| file | what it owns |", "|---|---|", *rows])
    page.write_text(f"{before}{BEGIN}{table}\n{END}{after}")


if __name__ == "__main__":
    main()
