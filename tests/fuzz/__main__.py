"""`python -m tests.fuzz --messages 100000 --seed 1`: what became of so many damaged messages."""

from __future__ import annotations

import argparse

from tests.fuzz.run import fuzz


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = fuzz(asked.messages, asked.seed)
    print(f"{found.messages:,} messages in {found.seconds:.1f} s, seed {asked.seed}: 0 crashes")  # noqa: T201
    print(f"{found.read:,} read, {sum(found.refused.values()):,} put aside with a reason:")  # noqa: T201
    for reason, count in found.refused.items():
        print(f"{count:8,}  {reason}")  # noqa: T201


if __name__ == "__main__":
    main()
