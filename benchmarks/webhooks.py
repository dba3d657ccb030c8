"""The webhook receiver under load, killed halfway: `python -m benchmarks.webhooks`, or `make load-test`.

Client processes send signed events at a steady rate, independent of response times, and repeat each event until it is
acknowledged, as a caller with retries does. Halfway through the test, the receiver is killed with SIGKILL and
restarted. The inbox is then compared with the acknowledgements: every acknowledged event must be there, exactly once,
and every stored event must have been sent. The exit code is 1 if that is not so, or if an event took longer than
allowed.
"""

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.webhook_client import Sent, send_events
from refersion_dagster.webhooks.inbox import Inbox

SECRET = "a signing secret of this run alone"  # noqa: S105
# From the time of an event to its acknowledgement, including the restart of the receiver.
MOST_SECONDS = 5.0


@dataclass(frozen=True)
class Figures:
    """The result of a run.

    Args:
        sent: events that the clients sent.
        acknowledged: events that were answered by 200.
        stored: events in the inbox, each counted once.
        lost: acknowledged events that are not in the inbox.
        twice: events that are in the inbox more than once.
        foreign: events in the inbox that nobody sent.
        repeated: events that were sent again because their acknowledgement was lost, and not stored again.
        seconds: from the first event's time to the last acknowledgement.
        down_seconds: from the kill to the first acknowledgement after it.
        worst_seconds: longest wait of an event for its acknowledgement, including retries and the restart.
        p50_ms, p99_ms: response times of the receiver, without failed attempts.
    """

    sent: int
    acknowledged: int
    stored: int
    lost: int
    twice: int
    foreign: int
    repeated: int
    seconds: float
    down_seconds: float
    worst_seconds: float
    p50_ms: float
    p99_ms: float

    def faults(self) -> list[str]:
        """The requirements that are not met, as text."""
        demands = {
            f"{self.sent - self.acknowledged} events were never acknowledged": self.acknowledged == self.sent,
            f"{self.lost} acknowledged events are lost": not self.lost,
            f"{self.twice} events are stored twice": not self.twice,
            f"{self.foreign} stored events were never sent": not self.foreign,
            f"an event waited {self.worst_seconds:.1f} s, more than {MOST_SECONDS} s": self.worst_seconds
            <= MOST_SECONDS,
        }
        return [words for words, met in demands.items() if not met]


class Receiver:
    """`refersion-dagster webhooks` as a process, on the same port after a restart."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "inbox.sqlite"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("refersion-dagster")),
                *("webhooks", "--port", str(self.port), "--inbox", str(self.inbox)),
            ],
            env={**os.environ, "REFERSION_WEBHOOK_SECRET": SECRET, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        said = self._process.stdout.readline()
        assert said.startswith("Receiving"), said
        self.port = int(said.partition("//")[2].partition("/")[0].rpartition(":")[2])

    def kill(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def state(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10) as answer:
            return json.load(answer)


def run(rate: int, seconds: float, clients: int, folder: Path) -> Figures:
    """Do one run in an empty folder.

    Args:
        rate: events per second of all clients together.
        seconds: duration of the test.
        clients: number of client processes.
    """
    receiver = Receiver(folder)
    receiver.start()
    begin = time.time() + 0.7
    share = [range(client, int(rate * seconds), clients) for client in range(clients)]
    with multiprocessing.get_context("spawn").Pool(clients) as pool:
        running = [
            pool.apply_async(send_events, (receiver.port, SECRET, numbers, rate, begin, MOST_SECONDS * 4))
            for numbers in share
        ]
        time.sleep(max(0.0, begin + seconds / 2 - time.time()))
        receiver.kill()
        killed = time.time()
        receiver.start()
        sent = [sent for part in running for sent in part.get()]
    repeated = receiver.state()["repeated"]
    receiver.kill()
    return figures(sent, stored_numbers(receiver.inbox), repeated, rate, begin, killed)


def stored_numbers(path: Path) -> Counter[int]:
    """How often each event is in the inbox, by the number in its body."""
    found: Counter[int] = Counter()
    with Inbox(path) as inbox:
        after = 0
        while kept := inbox.read(after):
            found.update(json.loads(event.body)["id"] for event in kept)
            after = kept[-1].seq
    return found


def figures(sent: list[Sent], stored: Counter[int], repeated: int, rate: int, begin: float, killed: float) -> Figures:
    acknowledged = [event for event in sent if event.acknowledged_at is not None]
    times = [event.acknowledged_at for event in acknowledged if event.acknowledged_at is not None]
    numbers = {event.number for event in sent}
    answers = sorted(event.answer_seconds for event in sent)
    return Figures(
        sent=len(sent),
        acknowledged=len(acknowledged),
        stored=len(stored),
        lost=sum(event.number not in stored for event in acknowledged),
        twice=sum(count > 1 for count in stored.values()),
        foreign=sum(number not in numbers for number in stored),
        repeated=repeated,
        seconds=max(times, default=begin) - begin,
        down_seconds=min((moment for moment in times if moment > killed), default=killed + MOST_SECONDS) - killed,
        worst_seconds=max(
            (at - (begin + event.number / rate) for event, at in zip(acknowledged, times, strict=True)), default=0.0
        ),
        p50_ms=answers[len(answers) // 2] * 1000,
        p99_ms=answers[int(len(answers) * 0.99)] * 1000,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=int, default=1_000, help="events a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="duration in seconds (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=3, help="client processes (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="refersion-load-") as folder:
        result = run(options.rate, options.seconds, options.clients, Path(folder))
    for name, value in asdict(result).items():
        print(f"{name:16}{value:12,.3f}" if isinstance(value, float) else f"{name:16}{value:12,}")
    faults = result.faults()
    print("\n".join(f"FAIL: {fault}" for fault in faults) or "No acknowledged event lost, none twice.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
