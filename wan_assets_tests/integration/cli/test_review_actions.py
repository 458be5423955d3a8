"""`wan-assets review` without a browser: decisions by id, lists, histories, files of decisions and policies."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from dagster_support import table_of, written
from engine_support import Studio, studio
from pydantic import ValidationError

from wan_assets import ApprovalPolicy, ApprovalRule
from wan_assets.cli import cli
from wan_assets.dataset.approval_policy import CheckedVideo
from wan_assets.engine import VideoJob
from wan_assets.ledger import CheckRecord, Decision, DecisionValue, NewDecision, VideoKey
from wan_assets.prompts import PromptTable
from wan_assets.store import StoredTask

UNSET = dict.fromkeys(("WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_PROMPTS"))


@dataclass
class Desk:
    """A table of the rows a, b, c (two results), d:1 and e, of which e has no video, and the command over it."""

    made: Studio
    path: Path
    stored: Mapping[str, StoredTask]

    def invoke(self, *options: Any, columns: int = 120) -> Result:
        places = ["--url", self.made.url, "--store", self.made.store.root]
        arguments = ["review", self.path, *places, *options]
        return CliRunner().invoke(cli, [*map(str, arguments)], env={**UNSET, "COLUMNS": str(columns)})

    def report(self, *options: Any) -> dict[str, Any]:
        result = self.invoke(*options, "--json")
        assert result.exit_code in (0, 1), result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def key(self, prompt_id: str, result: int = 1) -> VideoKey:
        task = self.stored[prompt_id]
        return VideoKey(task.fingerprint, task.videos[result - 1].sha256, result)

    def decided(self) -> list[Decision]:
        with self.made.ledger() as ledger:
            return ledger.decisions_after(0)

    def clear(self) -> None:
        self.made.rows("DELETE FROM wan_decisions")
        self.made.rows("DELETE FROM wan_video_checks")

    def check(self, prompt_id: str, name: str, **result: Any) -> None:
        with self.made.ledger() as ledger:
            values = {"passed": True, **result}
            ledger.record_checks([CheckRecord(self.stored[prompt_id].task_uuid, 1, name, **values)])

    def policy(self, text: str) -> Path:
        path = self.made.folder / "policy.toml"
        path.write_text(text)
        return path

    def file(self, *decisions: Any, **document: Any) -> Path:
        path = self.made.folder / "decisions.json"
        path.write_text(json.dumps({"format": "wan-assets decisions 1", "decisions": decisions, **document}))
        return path

    def item(self, prompt_id: str, decision: str = "approved", **values: Any) -> dict[str, Any]:
        """A decision as the gallery writes it."""
        video = self.key(prompt_id)
        return {
            "fingerprint": video.fingerprint,
            "sha256": video.sha256,
            "result": 1,
            "decision": decision,
            "rating": None,
            "labels": [],
            "note": "",
            "reviewer": "ada",
            "key": str(uuid.uuid4()),
            "decided_at": "2030-01-01T00:00:00.000Z",
            **values,
        }


@pytest.fixture(scope="module")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    rows = table_of(*(f"Kite {name}" for name in "abcde"))
    rows[2]["number_results"] = 2
    rows[3]["prompt_id"] = "d:1"
    with studio(folder, latency_s=0.02) as made:
        path = written(folder, rows)
        jobs = [VideoJob(row.request, row.prompt_id, row.prompt_id) for row in PromptTable.load(path).rows[:4]]
        stored = {outcome.job.prompt_id: outcome.stored for outcome in made.run(jobs)}
        yield Desk(made, path, {name: task for name, task in stored.items() if task})


@pytest.fixture
def desk(made_desk: Desk) -> Desk:
    made_desk.clear()
    return made_desk


@pytest.mark.slow
def test_ids_and_results_are_decided_about_in_one_command(desk: Desk) -> None:
    options = ("--approve", "a", "--approve", "c:2", "--reject", "b", "--retake", "d:1")
    details = ("--note", "see ticket", "--rating", 4, "--label", "red", "--label", "sharp", "--reviewer", "ada")
    result = desk.invoke(*options, *details)

    assert result.exit_code == 0, result.output
    assert result.stdout == "approved: 2 videos: a, c:2\nrejected: 1 video: b\nretake: 1 video: d:1\n"
    assert {(each.video, each.value.value) for each in desk.decided()} == {
        (desk.key("a"), "approved"),
        (desk.key("c", 2), "approved"),
        (desk.key("b"), "rejected"),
        (desk.key("d:1"), "retake"),
    }
    assert {(each.note, each.rating, each.labels, each.reviewer, each.source) for each in desk.decided()} == {
        ("see ticket", 4, ("red", "sharp"), "ada", "command")
    }


def test_a_row_stands_for_all_its_results_and_a_decision_can_be_withdrawn(desk: Desk) -> None:
    reported = desk.report("--approve", "c")
    desk.report("--undecide", "c:1")
    listed = desk.report("--list")

    assert [(each["prompt_id"], each["result"], each["decision"]) for each in reported["recorded"]] == [
        ("c", 1, "approved"),
        ("c", 2, "approved"),
    ]
    assert reported["recorded"][0]["reviewer"]
    assert (listed["videos"], listed["approved"], listed["undecided"], listed["missing"]) == (5, 1, 4, 1)


def test_an_option_takes_several_ids_after_the_table(desk: Desk) -> None:
    desk.report("--approve", "a", "b", "--rating", "4", "--reject", "c:1", "d:1", "--note", "dull")

    found = {(decision.video, decision.value.value) for decision in desk.decided()}
    approved = {(desk.key(each), "approved") for each in ("a", "b")}
    assert found == approved | {(desk.key(each), "rejected") for each in ("c", "d:1")}
    assert {(each.rating, each.note) for each in desk.decided()} == {(4, "dull")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--approve", "a", "--reject", "bb"), "did you mean b?"),
        (("--approve", "a", "--approve", "e"), "the row e has no video"),
        (("--approve", "a", "--reject", "c:3"), "the row c has no result 3; it has 2"),
        (("--approve", "c", "--reject", "c:1"), "two decisions about c:1 are given: approved and rejected"),
        (("--approve", "a", "--take", "2"), "the row a has no take 2; its takes are 1"),
        (("--approve", "a", "--label", "x" * 61), "the label has 61 characters, more than 60"),
        (("--approve", "a", "--rating", "6"), "6 is not in the range"),
        (("--approve", "a", "--list"), "--approve and --list are both given"),
        (("--note", "why"), "--note needs --approve, --reject, --retake or --undecide"),
        (("--list", "--dry-run"), "--dry-run needs --policy or --import"),
        (("--only", "approved"), "--only needs --list"),
        (("--approve", ""), "no row of the table has the prompt_id"),
        (("--json",), "--json needs an option such as --list"),
        (("--approve", "p1", "--reviewer", "a", "--reviewer", "b"), "--reviewer is given twice"),
        (("--list", "--reviewer", "a"), "--reviewer has no meaning with --list"),
    ],
)
def test_nothing_is_recorded_if_one_option_cannot_be_meant(desk: Desk, options: tuple[str, ...], words: str) -> None:
    result = desk.invoke(*options)

    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert desk.decided() == []


def test_the_list_and_the_history_fit_terminals_and_show_no_control_characters(desk: Desk) -> None:
    desk.report("--approve", "a", "--note", "one\x1b[31m\ntwo " + "long " * 40, "--reviewer", "ada", "--rating", 5)
    desk.report("--reject", "a", "--reviewer", "bea")

    for columns in (40, 80, 160):
        listed = desk.invoke("--list", columns=columns)
        history = desk.invoke("--history", "a", columns=columns)
        assert (listed.exit_code, history.exit_code) == (0, 0)
        assert max(map(len, (listed.stdout + history.stdout).splitlines())) <= max(columns, 45)
        assert "\x1b" not in listed.stdout + history.stdout
        assert "rejected" in listed.stdout
        assert history.stdout.index("ada") < history.stdout.index("bea")
    only = desk.report("--list", "--only", "rejected")
    assert [(each["prompt_id"], each["reviewer"]) for each in only["list"]] == [("a", "bea")]
    with desk.path.open("a") as file:
        file.write('{"prompt_id": "bad", "positive_prompt": "A kite", "resolution": "9p"}\n')
    assert "1 row with problems left out" in desk.invoke("--list").stdout
    assert [each["decision"] for each in desk.report("--history", "a")["decisions"]] == ["approved", "rejected"]


def test_another_take_is_decided_about_by_its_number(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=0.02) as made:
        path = written(tmp_path, table_of("A kite"))
        (row,) = PromptTable.load(path).rows
        desk = Desk(made, path, {})
        made.run([VideoJob(row.request, "a", "a")])
        desk.report("--retake", "a")
        made.run([VideoJob(row.request, "a", "a")])
        (listed,) = desk.report("--list")["list"]
        said = desk.invoke("--approve", "a", "--take", 1)
        (chosen,) = desk.report("--list")["list"]
        history = desk.report("--history", "a")["decisions"]

    assert (listed["take"], listed["decision"]) == (2, "undecided")
    assert said.stdout == "approved: 1 video: a\n"
    assert (chosen["take"], chosen["decision"]) == (1, "approved")
    assert [(each["take"], each["decision"]) for each in history] == [(1, "retake"), (1, "approved")]


def test_a_file_of_decisions_is_recorded_once(desk: Desk) -> None:
    desk.report("--reject", "b")
    path = desk.file(
        desk.item("a", rating=3, labels=["red"], note="fine\x1b[2J"),
        desk.item("b", decided_at="2020-01-01T00:00:00+00:00"),
    )
    dry = desk.report("--import", path, "--dry-run")
    first = desk.invoke("--import", path)
    second = desk.report("--import", path)

    assert (dry["recorded"], dry["dry_run"]) == (2, True)
    assert first.exit_code == 0
    assert "2 decisions recorded, 0 recorded before" in first.stdout
    assert "1 of them replaces a decision that was made later: decision 2 of the file" in first.stdout
    assert (second["recorded"], second["recorded_before"]) == (0, 2)
    _, kite, boat = desk.decided()
    assert (kite.value, kite.rating, kite.labels, kite.note) == (DecisionValue.APPROVED, 3, ("red",), "fine[2J")
    assert (boat.video, boat.source, boat.reviewer) == (desk.key("b"), "import", "ada")


def test_items_that_are_no_decisions_are_named_with_their_places_and_the_others_recorded(desk: Desk) -> None:
    good = desk.item("a")
    bad: list[tuple[Any, str]] = [
        (["a"], "not an object"),
        ({"decision": "approved"}, "it has no fingerprint, sha256, reviewer, key"),
        ({**good, "sha256": "A" * 64}, "sha256"),
        ({**good, "fingerprint": 7}, "fingerprint"),
        ({**good, "key": "again"}, "not a UUID"),
        ({**good, "result": True}, "result"),
        ({**good, "result": 10**30}, "result"),
        ({**good, "decision": ["approved"]}, "is not one of"),
        ({**good, "rating": "4"}, "rating"),
        ({**good, "rating": 4.0}, "rating"),
        ({**good, "labels": "red"}, "labels"),
        ({**good, "labels": [1]}, "label"),
        ({**good, "note": "x" * 2_001}, "note"),
        ({**good, "reviewer": " "}, "no reviewer"),
        ({**good, "decided_at": "yesterday"}, "ISO 8601"),
        ({**good, "admin": True}, "unknown field"),
    ]
    unknown = {**desk.item("b"), "sha256": "0" * 64}
    path = desk.file(*(item for item, _ in bad), unknown, good, good)

    reported = desk.report("--import", path)
    shown = desk.invoke("--import", path)

    assert (reported["recorded"], reported["recorded_before"]) == (1, 1)
    assert [item["place"] for item in reported["unknown"]] == [17]
    assert [item["place"] for item in reported["invalid"]] == list(range(1, 17))
    for item, (_, words) in zip(reported["invalid"], bad, strict=True):
        assert words in item["reason"]
    assert shown.exit_code == 1
    assert "decision 5 is not valid: key 'again' is not a UUID" in shown.stdout
    assert "1 decision about a video that the ledger does not have: decision 17 of the file" in shown.stdout
    assert len(desk.decided()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("[" * 100_000, "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[]", "`format` is not 'wan-assets decisions 1'"),
        ('{"format": "wan-assets decisions 2", "decisions": []}', "`format`"),
        ('{"format": "wan-assets decisions 1", "decisions": {}}', "`decisions` is not a list"),
    ],
)
def test_a_file_that_is_no_file_of_decisions_is_refused(desk: Desk, content: str | None, words: str) -> None:
    path = desk.made.folder / "other.json"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content.encode("latin-1"))

    result = desk.invoke("--import", path)

    assert result.exit_code == 2
    assert words in result.stderr


POLICY = """
[[rules]]
decision = "rejected"
failed_checks = ["not_black", "sharp"]

[[rules]]
decision = "approved"
all_checks_pass = true
min_scores = {aesthetic = 0.7}
"""


def test_a_policy_decides_what_its_rules_say_and_never_instead_of_a_person(desk: Desk) -> None:
    for name, score in (("a", 0.9), ("b", 0.69), ("d:1", 0.9)):
        desk.check(name, "aesthetic", score=score)
    desk.check("c", "sharp", passed=False, message="blurred")
    desk.report("--reject", "d:1")
    desk.report("--undecide", "d:1")

    dry = desk.report("--policy", desk.policy(POLICY), "--dry-run")
    before = len(desk.decided())
    first = desk.invoke("--policy", desk.policy(POLICY))
    again = desk.report("--policy", desk.policy(POLICY))

    assert (before, dry["counts"]["approved"], dry["counts"]["rejected"]) == (2, 1, 1)
    assert [(rule["matched"], rule["unknown"]) for rule in dry["rules"]] == [(1, []), (1, [])]
    assert (dry["videos"], dry["by_person"], dry["without_rule"]) == (5, 1, 2)
    assert "new decisions: 1 approved, 1 rejected" in first.stdout
    assert (again["decisions"], again["unchanged"]) == ([], 2)
    made = {each.video: each for each in desk.decided()[2:]}
    approved, rejected = made[desk.key("a")], made[desk.key("c")]
    assert (approved.reviewer, approved.source) == ("policy default", "policy")
    assert approved.rule == "approved if all checks pass, aesthetic >= 0.7"
    assert (rejected.rule, rejected.note) == ("rejected if not_black or sharp fails", "sharp: blurred")


def test_a_decision_of_a_policy_follows_its_checks_until_a_person_decides(desk: Desk) -> None:
    path = desk.policy(POLICY)
    desk.check("a", "aesthetic", score=0.9)
    desk.check("b", "aesthetic", score=0.9)
    desk.report("--policy", path)
    desk.check("a", "sharp", passed=False)
    desk.check("b", "aesthetic", score=0.1)
    desk.report("--policy", path)
    desk.report("--approve", "a")
    desk.report("--policy", path)

    values = [(each.video.fingerprint, each.value.value, each.rule) for each in desk.decided()[2:]]
    a, b = desk.key("a").fingerprint, desk.key("b").fingerprint
    assert sorted(values) == sorted(
        [
            (a, "rejected", "rejected if not_black or sharp fails"),
            (b, "undecided", "person, because no rule applies"),
            (a, "approved", ""),
        ]
    )


def test_a_policy_that_was_applied_before_a_person_decided_does_not_override_the_person(desk: Desk) -> None:
    desk.report("--reject", "a")
    new = NewDecision(desk.key("a"), DecisionValue.APPROVED, "policy default", source="policy")
    with desk.made.ledger() as ledger:
        recorded = ledger.decide([new])

    assert recorded == []
    assert [each.value.value for each in desk.decided()] == ["rejected"]


def test_a_share_of_the_videos_goes_to_a_person_and_the_same_ones_each_time(desk: Desk) -> None:
    rule = '[[rules]]\ndecision = "approved"\nall_checks_pass = true\n'
    everyone = desk.report("--policy", desk.policy(f"person_share = 1.0\n{rule}"), "--dry-run")
    runs = [desk.report("--policy", desk.policy(f'name = "half"\nperson_share = 0.5\n{rule}'), "--dry-run")] * 2
    other = desk.report("--policy", desk.policy(f'name = "other"\nperson_share = 0.5\n{rule}'), "--dry-run")

    assert everyone["decisions"] == []
    assert everyone["rules"][0]["to_a_person"] == everyone["rules"][0]["matched"] == 5
    assert runs[0]["decisions"] == runs[1]["decisions"]
    assert all(each["rules"][0]["matched"] == 5 for each in (runs[0], other))


def test_the_share_of_a_person_is_near_its_size_and_a_larger_one_contains_it() -> None:
    rule = ApprovalRule(decision="rejected", failed_checks=["a"])
    files = [f"{number:064x}" for number in range(2_000)]

    def taken(share: float, name: str = "default") -> set[str]:
        policy = ApprovalPolicy(rules=[rule], person_share=share, name=name)
        return {sha256 for sha256 in files if policy.samples(sha256)}

    assert 150 < len(taken(0.1)) < 250
    assert taken(0.1) < taken(0.2)
    assert taken(0.1) != taken(0.1, "other")
    assert (len(taken(0.0)), len(taken(1.0))) == (0, 2_000)


def test_a_dry_run_names_rules_whose_checks_no_video_has(desk: Desk) -> None:
    desk.check("a", "aesthetic", score=0.9)
    desk.check("a", "sharp")
    rules = """
    [[rules]]
    decision = "retake"
    failed_checks = ["not_blak"]
    [[rules]]
    decision = "approved"
    min_scores = {sharp = 0.5}
    """
    result = desk.invoke("--policy", desk.policy(rules), "--dry-run", columns=80)

    shown = " ".join(result.stdout.split())
    assert "the rule `retake if not_blak fails` cannot apply: not_blak: no video has such a check" in shown
    assert "did you mean not_black?" in shown
    assert "the rule `approved if sharp >= 0.5` cannot apply: sharp: no video has a score of it" in shown
    assert "dry run: decisions that would be recorded: none" in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules = [", "not valid TOML"),
        ("rules = []", "rules: Tuple should have at least 1 item"),
        ('[[rules]]\ndecision = "approved"', "rule 1: a rule that approves needs a condition"),
        ('name = "a\\u0000b"\n[[rules]]\ndecision = "person"', "name: String should match pattern"),
        ('[[rules]]\ndecision = "maybe"', "rule 1, decision: Input should be 'approved'"),
        ('[[rules]]\ndecision = "retake"\nfailed_check = ["a"]', "rule 1, failed_check: unknown field"),
        ('person_share = 2\n[[rules]]\ndecision = "person"', "person_share: Input should be less than or equal to 1"),
        ('[[rules]]\ndecision = "approved"\nmin_scores = {a = nan}', "min_scores, a: Input should be a finite number"),
        (
            '[[rules]]\ndecision = "rejected"\nall_checks_pass = true\nfailed_checks = ["a"]',
            "rule 1: all_checks_pass and failed_checks contradict each other",
        ),
    ],
)
def test_a_policy_that_is_not_valid_is_refused_with_the_place(desk: Desk, text: str, words: str) -> None:
    result = desk.invoke("--policy", desk.policy(text))

    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert desk.decided() == []


def test_a_table_that_needs_no_store_or_ledger_creates_neither(tmp_path: Path) -> None:
    path = written(tmp_path, table_of("A kite"))
    result = CliRunner().invoke(cli, ["review", str(path), "--data-dir", str(tmp_path / "data"), "--list"], env=UNSET)

    assert result.exit_code == 2
    assert "LedgerMissingError" in result.stdout + result.stderr or "ledger" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_policy_is_the_same_in_python_in_toml_and_as_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    mapping = yaml.safe_load(
        """
        rules:
          - {decision: rejected, failed_checks: [not_black, sharp]}
          - {decision: approved, all_checks_pass: true, min_scores: {aesthetic: 0.7}}
        """
    )
    policy = ApprovalPolicy(
        rules=[
            ApprovalRule(decision="rejected", failed_checks=["not_black", "sharp"]),
            ApprovalRule(decision="approved", all_checks_pass=True, min_scores={"aesthetic": 0.7}),
        ]
    )

    assert policy == ApprovalPolicy.load(path) == ApprovalPolicy.model_validate(mapping)
    with pytest.raises(ValidationError):
        policy.name = "other"


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({"all_checks_pass": True}, False),
        ({"passed_checks": ["a"]}, True),
        ({"passed_checks": ["a", "unmeasured"]}, False),
        ({"failed_checks": ["a", "b"]}, True),
        ({"failed_checks": ["a", "c"]}, False),
        ({"min_scores": {"a": 0.5}, "max_scores": {"a": 0.5}}, True),
        ({"min_scores": {"a": 0.51}}, False),
        ({"max_scores": {"a": 0.49}}, False),
        ({"min_scores": {"b": 0.0}}, False),
        ({"max_scores": {"b": 1.0}}, False),
        ({"failed_checks": ["b"], "min_scores": {"a": 0.9}}, False),
    ],
)
def test_a_rule_applies_if_all_its_conditions_are_fulfilled(rule: dict[str, Any], applies: bool) -> None:
    video = CheckedVideo(frozenset("a"), {"b": "blurred"}, frozenset("c"), {"a": 0.5})

    assert ApprovalRule(decision="rejected", **rule).matches(video) is applies


def test_a_check_that_ended_with_an_error_is_neither_passed_nor_failed() -> None:
    unfinished = CheckedVideo(frozenset(), {}, frozenset("c"), {})

    assert not ApprovalRule(decision="approved", all_checks_pass=True).matches(unfinished)
    assert not ApprovalRule(decision="rejected", failed_checks=["c"]).matches(unfinished)
    assert not ApprovalRule(decision="approved", passed_checks=["c"]).matches(unfinished)
