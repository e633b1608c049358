"""Messages that are malformed, hostile, altered or out of turn are refused, by sites and by the centre."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session

from biocal.errors import InputError, MessageError
from biocal.remote.sites.centre.coordinator import take_answers
from biocal.remote.sites.messages.messages import MOST_BYTES, parsed
from biocal.remote.sites.site.site import SiteSettings, create_site, prepare_answer, read_settings


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session whose centre waits for the first scores."""
    pool = few_studies(make_pool())
    session = Session(tmp_path_factory.mktemp("played"), pool, sites=FEW_SITES)
    session.go_to("scores")
    return session


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON, or cut short"),
        (b"[1, 2]", "not an object"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": 1e999}', "holds 1e999"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
        (b'{"a": ' + b"[" * 200_000, "nested deeper"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "thousands of digits"),
        (b'{"a": "' + b"x" * MOST_BYTES + b'"}', "larger than"),
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "nan",
        "overflow",
        "infinity",
        "twice",
        "bytes",
        "deep",
        "deeper",
        "digits",
        "large",
    ],
)
def test_bytes_that_are_no_message_are_refused(content: bytes, words: str):
    with pytest.raises(MessageError, match=words):
        parsed(content)


def _put(*path: Any) -> Callable[[Any], Callable[[dict[str, Any]], None]]:
    """A change that puts a value at a place of a message."""

    def with_value(value: Any) -> Callable[[dict[str, Any]], None]:
        def change(message: dict[str, Any]) -> None:
            place: Any = message
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value

        return change

    return with_value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_put("version")(9), "protocol version 9"),
        (_put("format")("other"), "not a message of a federated fit"),
        (_put("kind")("answer"), "this is an answer, not a request"),
        (_put("surprise")(1), "unknown surprise"),
        (_put("step")("rows"), "expected one of inventory"),
        (_put("session")("short"), "session"),
        (_put("round")(-1), "round"),
        (_put("round")(True), "round"),
        (_put("round")(10**400), "round: a number that is not between"),
        (_put("plan", "methods")(["magic"]), "plan: a federated fit knows"),
        (_put("plan", "covariates")("standardize(bmi)"), "learns from the rows"),
        (_put("plan", "covariates")("bmi\u0000"), "control characters"),
        (_put("plan", "covariates")("x" * 3000), "a text of 3,000 letters"),
        (_put("plan", "sites")(["x", "y"]), "is 'a', which is not among those asked: x, y"),
        (_put("plan", "level")("high"), "plan.level: expected a number"),
        (_put("agreed", "kept")([True]), "agreed.kept: 1 columns"),
        (_put("agreed", "kept")(None), "before exposure terms and covariates are settled"),
        (_put("agreed", "levels")(None), "although the inventory is over"),
        (_put("agreed", "levels", "other")({"bmi": [1.0]}), "the plan has no formula 'other'"),
        (_put("agreed", "basis")({"kind": "rcs", "knots": [1, 1, 2]}), "increasing numbers"),
        (_put("agreed", "basis")({"kind": "tree"}), "expected one of linear"),
        (_put("agreed", "edges")({"low": 2, "high": 1, "n_bins": 4}), "is not below"),
        (_put("agreed", "edges")({"low": 0, "high": 1, "n_bins": 10**6}), "is not between"),
        (_put("tasks", "full")([0.0]), "full: 1 coefficients, but the model has 5 terms"),
        (_put("tasks")({}), "tasks: none"),
        (_put("tasks", "rows")([0.0]), "there is no task 'rows'"),
        (_put("previous")("0" * 64), "does not follow the request that this site answered last"),
        (_put("session")("f" * 32), "a session of which this site has answered nothing"),
        (_put("round")(9), "this site has yet to answer round 3"),
        (_put("round")(0), "answered already, to a different request"),
    ],
)
def test_a_site_refuses_requests_that_cannot_be(played: Session, change: Any, words: str):
    path = played.tampered(played.request, change)
    ledger = (played.sites["a"] / "ledger.json").read_bytes()
    with pytest.raises(MessageError, match=words):
        played.prepared("a", path)
    assert (played.sites["a"] / "ledger.json").read_bytes() == ledger


def test_an_altered_request_is_known_by_its_digest(played: Session):
    path = played.folder / "altered.json"
    path.write_text(played.request.read_text().replace('"covariates": "bmi', '"covariates": "age', 1))
    with pytest.raises(MessageError, match="its digest does not fit its content"):
        played.prepared("a", path)


def test_an_older_round_is_not_answered_again_but_the_last_one_is(tmp_path: Path):
    session = Session(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    session.go_to("scores")
    first = session.answer("a").read_bytes()
    assert session.answer("a").read_bytes() == first, "an answer lost on its way can be made once more"
    with pytest.raises(MessageError, match="round 1 was answered already and the session is at round 4"):
        session.prepared("a", session.centre / "request_001.json")


def test_a_site_answers_only_so_many_rounds(tmp_path: Path):
    session = Session(tmp_path, few_studies(make_pool()), rounds=5, sites=FEW_SITES)
    session.go_to("scores")
    session.step()
    session.step()
    with pytest.raises(MessageError, match="this site answers 5 rounds of a session"):
        session.step()


def _answer(change: Any) -> Any:
    return lambda session: session.tampered(session.answer("a"), change)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_answer(_put("session")("f" * 32)), "an answer of another session"),
        (_answer(_put("site")("zebra")), "from site 'zebra', which takes no part"),
        (_answer(_put("round")(1)), "an answer to round 1; the session is at round 3"),
        (_answer(_put("request")("0" * 64)), "an answer to another request"),
        (_answer(_put("step")("sandwich")), "an answer to another request"),
        (_answer(_put("content")([])), "content: expected an object"),
        (_answer(_put("content", "full", "score")([0.0] * 4)), "full.score: expected 5 entries, found 4"),
        (_answer(_put("content", "full", "score")([0.0] * 10**5)), "found 100,000"),
        (_answer(_put("content", "full", "score")(["x"] * 5)), "expected a number, found a text"),
        (_answer(_put("content", "full", "loglik")(12.0)), "a conditional log-likelihood is not above 0"),
        (_answer(_put("content", "full", "loglik")(10**400)), "not a finite number"),
        (_answer(_put("content", "full", "loglik")(None)), "expected a number, found null"),
        (_answer(_put("content", "full", "expected", 0, 0)(-1.0)), "a sum of squares below 0"),
        (_answer(_put("content", "full", "expected", 0, 1)(1e9)), "not symmetric"),
        (_answer(_put("content", "full", "rows")([1])), "unknown rows"),
        (_answer(_put("content", "other")({})), "unknown other"),
        (lambda session: session.request, "this is a request, not an answer"),
    ],
)
def test_the_centre_refuses_answers_that_cannot_be(played: Session, make: Any, words: str):
    with pytest.raises(MessageError, match=words):
        take_answers(played.centre, [str(make(played))])
    assert played.progress().answered == ()


def test_one_bad_answer_among_several_keeps_all_out_and_every_fault_is_told(tmp_path: Path):
    session = Session(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    good = session.answer("a")
    bad = session.tampered(session.answer("b"), _put("round")(7), "bad.json")
    with pytest.raises(MessageError) as refusal:
        take_answers(session.centre, [str(good), str(bad), str(tmp_path / "absent.json")])
    assert len(str(refusal.value).splitlines()) == 2
    assert "none of the answers is taken in" in str(refusal.value)
    assert session.progress().missing == ("a", "b", "d")


def test_answers_come_in_any_order_and_one_by_one(tmp_path: Path):
    session = Session(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    progress = take_answers(session.centre, [str(session.answer("d"))])
    assert (progress.answered, progress.missing) == (("d",), ("a", "b"))
    again = take_answers(session.centre, [str(session.answer("d"))])
    assert again.missing == ("a", "b")
    different = session.tampered(session.answer("d"), _put("content", "shapes")(None))
    with pytest.raises(MessageError, match="site d has answered this round already, and differently"):
        take_answers(session.centre, [str(different)])
    progress = take_answers(session.centre, [str(session.answer("b")), str(session.answer("a"))])
    assert progress.request.round == 1


def test_an_answer_of_an_earlier_round_does_not_serve_the_present(tmp_path: Path):
    session = Session(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    old = session.answer("a")
    session.step()
    different = session.tampered(old, _put("content", "shapes")(None))
    with pytest.raises(MessageError, match="an answer to round 0; the session is at round 1"):
        take_answers(session.centre, [str(different)])
    session.step()
    with pytest.raises(MessageError, match="an answer to round 0; the session is at round 2"):
        take_answers(session.centre, [str(old)])


def test_a_step_that_was_made_before_leads_to_the_same_request_and_the_same_fits(tmp_path: Path):
    """As when it was killed when all was written, and is run again."""
    session = Session(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    progress = session.progress()
    while progress.comparison is None:
        answers = [str(session.answer(site)) for site in session.sites]
        progress = take_answers(session.centre, answers)
        written = {path: path.read_bytes() for path in session.centre.rglob("*.json")}
        again = take_answers(session.centre, answers)
        assert again.repeated
        assert again.new_request == progress.new_request
        assert (again.comparison is None) == (progress.comparison is None)
        assert written == {path: path.read_bytes() for path in session.centre.rglob("*.json")}
        session.request = progress.request_path
    with pytest.raises(InputError, match="is over; its fits need no further answers"):
        take_answers(session.centre, [str(session.tampered(Path(answers[0]), _put("round")(0)))])


def test_a_secret_shows_forgeries_that_a_plain_digest_does_not(tmp_path: Path):
    pool = few_studies(make_pool())
    session = Session(tmp_path, pool, sites=FEW_SITES)
    secret = tmp_path / "secret.txt"
    secret.write_text("correct horse battery staple\n")
    place = tmp_path / "site_with_secret"
    create_site(place, SiteSettings("a", 5, 40, {}, str(secret)))
    with pytest.raises(MessageError, match="the two sides have different secrets"):
        prepare_answer(place, str(session.request), lambda reading: session.pools["a"])
    secret.write_text("short")
    with pytest.raises(InputError, match="16 letters or more"):
        prepare_answer(place, str(session.request), lambda reading: session.pools["a"])


def test_an_altered_folder_of_the_centre_is_noticed(tmp_path: Path):
    session = Session(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    session.step()
    path = session.centre / "answers" / "000_a.json"
    content = json.loads(path.read_text())
    content["content"]["studies"][0]["sets"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"000_a\.json of the centre was altered"):
        session.progress()


def test_a_folder_that_is_no_site_is_told_how_to_become_one(tmp_path: Path):
    with pytest.raises(InputError, match="make it with: biocal site init"):
        read_settings(tmp_path)


def test_messages_carry_numbers_to_the_last_digit(played: Session):
    point = json.loads(played.request.read_text())["agreed"]["lines"]["Beech"]["coefficients"]
    calibration = played.progress().centre.calibration
    assert calibration is not None
    np.testing.assert_array_equal(point, calibration.coefficients()[calibration.names.index("Beech")])
