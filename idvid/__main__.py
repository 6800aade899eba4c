"""`python -m idvid`; see `idvid.cli`."""

from idvid.cli import main

raise SystemExit(main())
