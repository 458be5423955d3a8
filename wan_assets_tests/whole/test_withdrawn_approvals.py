"""Approvals that are withdrawn while four processes submit the finals: none is bought without a valid approval."""

import json
import os
import random
import subprocess
import time
from pathlib import Path

from accounts import assert_nothing_reserved
from engine_support import Studio, jobs_of, studio
from folders import SUPPORT
from python_process import PythonProcess

from wan_assets.engine import Outcome
from wan_assets.ledger import DecisionValue, NewDecision, VideoKey

DRAFTS, PROCESSES = 60, 4
RUN = """
import json, random, sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from bent_api import PATIENT
from engine_support import Studio, errors_of, request_of
from wan_assets.engine import Limits, VideoJob
from wan_assets.ledger import Approval
folder, base_url, number = sys.argv[1:]
drafts = json.loads((Path(folder) / "drafts.json").read_text())
jobs = [VideoJob(request_of(prompt, resolution="1080p"), key, key, Approval(*video, is_simulated=True, name=key))
        for prompt, key, video in drafts]
random.Random(int(number)).shuffle(jobs)
made = Studio(Path(folder), SimpleNamespace(base_url=base_url))
outcomes = made.run(jobs, limits=Limits(max_in_flight=3, max_wait_s=20), http_config=PATIENT)
print(json.dumps(Counter(errors_of(outcomes))))
"""


def video_of(outcome: Outcome) -> VideoKey:
    assert outcome.stored is not None
    return VideoKey(outcome.stored.fingerprint, outcome.stored.videos[0].sha256)


def decide(made: Studio, videos: list[VideoKey], value: DecisionValue) -> None:
    with made.ledger() as ledger:
        ledger.decide([NewDecision(video, value, "ada") for video in videos])


def submitting(made: Studio, number: int) -> PythonProcess:
    """A process that submits all finals."""
    command = ["-c", RUN, made.folder, made.simulator.base_url, str(number)]
    return PythonProcess(command, env={**os.environ, "PYTHONPATH": str(SUPPORT)}, stdout=subprocess.PIPE)


def test_the_server_has_no_final_whose_approval_was_not_valid_when_it_was_submitted(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(DRAFTS))
        videos = [video_of(draft) for draft in drafts]
        decide(made, videos, DecisionValue.APPROVED)
        named = zip(drafts, videos, strict=True)
        listed = [(draft.job.request.prompt, draft.job.partition, video) for draft, video in named]
        (tmp_path / "drafts.json").write_text(json.dumps(listed))
        running = [submitting(made, number) for number in range(PROCESSES)]
        withdrawn = random.Random(1).sample(videos, DRAFTS // 2)
        for video in withdrawn:
            while made.paid - DRAFTS < withdrawn.index(video) and any(each.poll() is None for each in running):
                time.sleep(0.005)
            decide(made, [video], DecisionValue.REJECTED)
        errors = [json.loads(process.communicate()[0]) for process in running]

        finals = made.paid - DRAFTS
        assert_nothing_reserved(made)
        assert made.journal.submissions() == DRAFTS + finals
    approvals = [
        json.loads(text) for (text,) in made.rows("SELECT approval FROM wan_tasks WHERE state = 'stored'") if text
    ]
    assert len(approvals) == finals
    with made.ledger() as ledger:
        history = ledger.decisions(videos)
    for approval in approvals:
        made_about = history[VideoKey(approval["fingerprint"], approval["sha256"], approval["result"])]
        *_, valid = [decision for decision in made_about if decision.decided_at < approval["checked_at"]]
        assert valid.is_approved
        assert valid.number == approval["decision"]
    assert DRAFTS // 2 <= finals < DRAFTS
    assert all(each.get("", 0) >= DRAFTS // 2 for each in errors)
    assert all(set(each) <= {"", "NotApprovedError"} for each in errors)
