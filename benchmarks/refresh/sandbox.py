"""The account that both sides read: a sandbox in its own process."""

import argparse
import gc
import json
import sys

from refersion_dagster.sandbox import SandboxServer, SandboxSettings

# Conversions per order, including renewals, cancellations, credits and duplicates.
CONVERSIONS_PER_ORDER = 1.462


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh.sandbox", description=__doc__)
    parser.add_argument("--rows", type=int, required=True, help="number of conversions, approximately")
    options = parser.parse_args()
    orders = round(options.rows / CONVERSIONS_PER_ORDER)
    settings = SandboxSettings(affiliates=max(20, min(2_000, options.rows // 100)), orders=orders, clicks_per_order=0)
    with SandboxServer(settings) as sandbox:
        gc.freeze()
        address = {
            "environment": sandbox.environment(),
            "rows": len(sandbox.account.conversions),
            "clicks": len(sandbox.account.clicks),
            "affiliates": len(sandbox.account.affiliates),
        }
        print(json.dumps(address), flush=True)
        sys.stdin.read()  # until the starting process closes it or ends


if __name__ == "__main__":
    main()
