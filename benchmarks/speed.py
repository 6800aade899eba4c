"""The same as `python -m idvid bench speed`.

python -m benchmarks.speed --out runs/speed
"""

import sys

from idvid.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "speed", *sys.argv[1:]]))
