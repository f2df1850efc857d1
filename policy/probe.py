"""`python -m policy.probe checkpoint=…`: measures what can be read from the tokens of frozen streams: positions and actions. Baselines: pixels and
untrained streams.

Object xy in cm by ridge regression (patches, average, CLS) and by a keypoint read-out, for P, M and fused tokens; the action between two frames by a
linear probe; effective ranks. The streams are not trained. Writes `out/probe.txt`, `probe.json`, `xy.csv` and `action.csv`.
"""

from __future__ import annotations

from policy.probing.settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.probing.measure import measure

    measure(settings)


if __name__ == "__main__":
    command("policy.conf", "probe", Settings, main)
