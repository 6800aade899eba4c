"""The same as `python -m idvid bench quality`.

python -m benchmarks.quality --out runs/quality
"""

import sys

from idvid.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "quality", *sys.argv[1:]]))
