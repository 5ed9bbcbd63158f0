"""Proposals of trials: what the journal makes again after a kill."""

import json
import math

import numpy as np
import pytest
import sklearn.gaussian_process

from kerasseq.errors import UserError
from kerasseq.tuning.search import Search, check_search, first_bracket
from kerasseq.tuning.space import Choice, Range, When, points

SPACE = {
    "rate": Range(0.001, 0.1, log=True),
    "cell": Choice(("gru", "lstm")),
    "drop": Range(0.0, 0.5, when=When("cell", ("lstm",))),
}
GRID = {"a": Choice((1, 2, 3)), "b": Choice(("x", "y"))}


BASE = {"rate": 0.01, "cell": "gru", "drop": 0.1, "a": 1, "b": "x", "c": 5}


def search(
    tmp_path,
    kind="random",
    space=SPACE,
    trials=6,
    seed=1,
    direction="max",
    chosen=(),
    extended=False,
):
    journal = tmp_path / "journal.jsonl"
    return Search(kind, space, "score", direction, trials, 9, seed, journal, BASE, chosen, extended)


def value(changes):
    """What a trial would give: the same for the same settings."""
    return round(sum(map(len, map(str, changes.values()))) / 100, 4)


def run(made, most=99):
    """Runs trials one by one; their numbers and what they varied."""
    done = []
    while len(done) < most and (proposal := made.propose()) is not None:
        made.end(proposal.number, {"value": value(proposal.changes)})
        done.append((proposal.number, proposal.changes))
    return done


@pytest.mark.parametrize("kind", ["random", "bayesian", "hyperband", "grid"])
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path, kind):
    space = GRID if kind == "grid" else SPACE
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    straight = run(search(tmp_path / "one", kind, space))
    assert len(straight) == 6
    first = run(search(tmp_path / "two", kind, space), most=2)
    again = search(tmp_path / "two", kind, space)
    assert [number for number, _ in again.ended.items()] == [number for number, _ in first]
    begun = again.propose()
    third = search(tmp_path / "two", kind, space)  # killed while a trial ran
    assert third.waiting == [begun]
    third.end(begun.number, {"value": value(begun.changes)})
    assert [*first, (begun.number, begun.changes), *run(third)] == straight


@pytest.mark.gate
def test_a_gaussian_process_has_its_say_and_its_numbers_are_python_s(tmp_path):
    space = {"rate": Range(0.0, 1.0), "flag": Choice((True, False)), "size": Range(1, 9)}

    def score(changes):
        return -abs(changes["rate"] - 0.3)

    made, done = search(tmp_path, "bayesian", space, trials=8), []
    while (proposal := made.propose()) is not None:
        made.end(proposal.number, {"value": score(proposal.changes)})
        done.append(proposal.changes)
    assert len(done) == 8
    for changes in done:
        assert [type(changes[name]) for name in ("rate", "flag", "size")] == [float, bool, int]
    # after its first five it looks where it was good: random ones would have -0.29 on average
    later = [score(changes) for changes in done[5:]]
    assert sum(later) / len(later) > max(-0.15, sum(map(score, done[:5])) / 5)
    again = search(tmp_path, "bayesian", space, trials=8)
    assert [changes for changes, _ in again.ended.values()] == done


def test_an_answer_that_there_is_nothing_is_told_again(tmp_path):
    """Two at once, in a space of four: the last asks find nothing new, and move the state."""
    space = {"a": Choice((1, 2)), "b": Choice(("x", "y"))}
    made, running, done = search(tmp_path, "random", space, trials=9), [], []
    for _ in range(12):
        proposal = made.propose()
        if proposal is not None:
            running.append(proposal)
        if len(running) > 1 or (running and proposal is None):
            last = running.pop(0)
            made.end(last.number, {"value": 0.5})
            done.append(last.number)
        again = search(tmp_path, "random", space, trials=9)
        assert list(again.ended) == done
        assert again.waiting == running


def test_what_no_data_is_needed_for_is_checked_before():
    with pytest.raises(UserError, match=r"hyperband needs --training\.epochs 3 or more"):
        check_search("hyperband", SPACE, 6, 2)
    with pytest.raises(UserError, match=r"begins with 9 short trials.*must be above 9, got 9"):
        check_search("hyperband", SPACE, 9, 9)
    with pytest.raises(UserError, match=r"9 short trials, and the search space has 6 points"):
        check_search("hyperband", GRID, 20, 9)
    with pytest.raises(UserError, match=r"hyperband sets training\.epochs itself"):
        check_search("hyperband", {"training.epochs": Choice((3, 9))}, 20, 9)
    with pytest.raises(UserError, match="--max-trials is at most 999"):
        check_search("random", SPACE, 1000, 9)
    assert check_search("hyperband", SPACE, 10, 9) == []
    assert check_search("grid", GRID, 4, 9) == ["--max-trials 4: 4 of the grid's 6 combinations"]
    assert check_search("grid", GRID, 6, 9) == check_search("grid", SPACE, 6, 9) == []


def test_the_points_of_a_space_are_counted():
    cells = Choice(("gru", "lstm", "rnn"))
    assert points({"cell": cells}) == 3
    assert points({"cell": cells, "n": Range(1, 4), "x": Range(0.0, 0.3, step=0.1)}) == 48
    drop = Choice((0.1, 0.2), when=When("cell", ("lstm",)))
    assert points({"cell": cells, "drop": drop}) == 4
    assert points({"drop": drop, "cell": cells, "flag": Choice((True, False))}) == 8
    assert points(SPACE) is None


@pytest.mark.parametrize("epochs", [3, 4, 9, 10, 26, 27, 81, 100])
def test_the_first_bracket_is_that_of_the_paper(epochs):
    most = math.floor(math.log(epochs, 3) + 1e-9)  # s_max; B = (s_max + 1) R
    paper = math.ceil((most + 1) / (most + 1) * 3**most)
    found = first_bracket(epochs)
    assert found == paper if 3**most == epochs else found >= paper


def test_the_order_of_a_space_is_no_matter(tmp_path):
    first = run(search(tmp_path, trials=3))
    turned = dict(reversed(SPACE.items()))
    assert list(search(tmp_path, space=turned, trials=3).ended) == [number for number, _ in first]


def test_a_condition_holds(tmp_path):
    for _, changes in run(search(tmp_path, trials=30)):
        assert ("drop" in changes) == (changes["cell"] == "lstm")
        assert 0.001 <= changes["rate"] <= 0.1


def test_a_grid_has_every_combination_once_whatever_runs_at_once(tmp_path):
    made, running, done = search(tmp_path, "grid", GRID, 99), [], []
    while True:
        while len(running) < 3 and (proposal := made.propose()) is not None:
            running.append(proposal)
        if not running:
            break
        assert len(running) == 3 or len(done) > 3
        last = running.pop()
        made.end(last.number, {"value": None if len(done) == 1 else 0.5})
        done.append(tuple(sorted(last.changes.items())))
    assert len(done) == len(set(done)) == 6


def test_hyperband_gives_the_best_more_epochs(tmp_path):
    done = run(search(tmp_path, "hyperband", trials=20))
    epochs = [changes["training.epochs"] for _, changes in done]
    assert len(done) == 20
    assert set(epochs) == {1, 3, 9}
    assert sum(epochs) < 20 * 9 / 2
    settings = [{k: v for k, v in c.items() if k != "training.epochs"} for _, c in done]
    few, more = (
        [s for s, e in zip(settings, epochs, strict=True) if e == count] for count in (1, 3)
    )
    assert any(s in few for s in more)


def test_more_trials_may_follow(tmp_path):
    few = run(search(tmp_path, trials=3))
    made = search(tmp_path, trials=12)
    assert len(few) == 3
    assert len(run(made)) == 9
    assert made.propose() is None


def test_a_line_that_was_cut_by_a_kill_is_left_out(tmp_path):
    done = run(search(tmp_path, trials=2))
    journal = tmp_path / "journal.jsonl"
    with journal.open("a") as stream:
        stream.write('{"started": "00')
    made = search(tmp_path, trials=3)
    assert list(made.ended) == [number for number, _ in done]
    assert len(run(made)) == 1
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_another_journal_is_refused(tmp_path):
    run(search(tmp_path, trials=2))
    with pytest.raises(UserError, match="cannot be made again"):
        search(tmp_path, trials=2, seed=2)


SMOOTH = {
    "rate": Range(5e-4, 0.05, log=True),
    "units": Choice((8, 16)),
    "layers": Choice((1, 2)),
    "drop": Range(0.0, 0.5),
}


def smooth(changes):
    """Best at a corner of the space, where a Gaussian process proposes the same again."""
    return math.log10(changes["rate"]) / 20 + changes["units"] / 200 - changes["drop"] / 10


def told(made, most=99):
    """Proposals, each told its value."""
    found = []
    while len(found) < most and (proposal := made.propose()) is not None:
        made.end(proposal.number, {"value": smooth(proposal.changes)})
        found.append(json.dumps(proposal.changes, sort_keys=True))
    return found


def test_a_bayesian_search_never_proposes_the_same_again(tmp_path):
    made = search(tmp_path, "bayesian", SMOOTH, trials=12)
    found = told(made)
    assert len(set(found)) == len(found) == 12
    # what takes the place of a repeat is no blind draw: the mean of those would be -0.11 below
    later = [smooth(json.loads(changes)) for changes in found[6:]]
    assert min(later) > np.median([smooth(json.loads(changes)) for changes in found[:5]])


def test_a_search_that_goes_on_fits_no_process_of_trials_that_were(tmp_path, monkeypatch):
    told(search(tmp_path, "bayesian", SMOOTH, trials=9))
    fitted = []
    process = sklearn.gaussian_process.GaussianProcessRegressor
    fit = process.fit
    monkeypatch.setattr(process, "fit", lambda self, x, y: fitted.append(len(x)) or fit(self, x, y))
    again = search(tmp_path, "bayesian", SMOOTH, trials=10)
    assert fitted == []
    assert len(told(again)) == 1
    assert fitted == [9]


@pytest.mark.parametrize("kind", ["random", "bayesian", "grid"])
def test_a_space_that_was_tried_as_a_whole_ends_the_search(tmp_path, kind):
    made = search(tmp_path, kind, GRID, trials=20)
    done = [json.dumps(changes) for _, changes in run(made)]
    assert made.exhausted
    assert len(set(done)) == len(done) == 6


@pytest.mark.parametrize("kind", ["random", "bayesian", "hyperband", "grid"])
def test_chosen_points_come_first_once_and_survive_a_kill(tmp_path, kind):
    points = [{"a": 3, "b": "y"}, {"b": "y", "a": 1}]
    first = search(tmp_path, kind, GRID, chosen=points).propose()
    assert first == ("chosen-1", points[0])
    made = search(tmp_path, kind, GRID, chosen=points)  # killed while it ran
    assert made.waiting == [first]
    made.end("chosen-1", {"value": 0.5})
    done = run(made)
    assert done[0] == ("chosen-2", points[1])
    if kind != "hyperband":  # that trains the same again for fewer epochs
        assert len({str(sorted(changes.items())) for _, changes in [first, *done]}) == 6
    again = search(tmp_path, kind, GRID, chosen=points)
    assert again.ended == made.ended
    assert again.propose() is None


def test_a_point_outside_of_the_space_is_refused(tmp_path):
    for point, message in [
        ({"a": 4}, "a is 4, none of 1, 2, 3"),
        ({"c": 6}, "c is 6, and the search space does not vary it"),
        ({"rate": 1.0}, "rate is 1.0, outside of 0.001 to 0.1"),
        ({"drop": 0.3}, "drop is 0.3, which is varied only where cell is lstm"),
    ]:
        with pytest.raises(UserError, match=message):
            search(tmp_path, space=GRID if "a" in point or "c" in point else SPACE, chosen=[point])


@pytest.mark.parametrize("kind", ["random", "bayesian", "grid"])
def test_another_space_takes_over_the_trials_that_are_points_of_it(tmp_path, kind):
    before = run(search(tmp_path, "grid", GRID))
    wider = {"a": Choice((1, 2, 3, 4)), "b": Choice(("x",)), "c": Choice((5, 6))}
    made = search(tmp_path, kind, wider, trials=20, extended=True)
    kept = [{**changes, "c": 5} for _, changes in before if changes["b"] == "x"]
    assert [changes for changes, _ in made.ended.values()] == kept
    assert made.left_out == 3
    done = run(made, most=2)
    again = search(tmp_path, kind, wider, trials=20)  # goes on as it was
    done += run(again)
    assert again.exhausted
    assert {number[:2] for number, _ in done} == {"2-"}
    every = [str(sorted(changes.items())) for changes in (*kept, *(c for _, c in done))]
    assert len(every) == len(set(every)) == 8
    third = search(tmp_path, kind, GRID, trials=20, extended=True)  # and back again
    # what the first space had and the second had not is there again
    assert len(third.ended) == 6
    assert third.propose() is None


def test_a_bayesian_search_learns_from_trials_that_it_did_not_propose(tmp_path):
    space = {"rate": Range(0.0, 1.0)}
    chosen = [{"rate": x / 10} for x in (0.5, 1, 2, 4, 6, 8, 10)]
    made = search(tmp_path, "bayesian", space, trials=10, direction="min", chosen=chosen)
    found = []
    while (proposal := made.propose()) is not None:
        made.end(proposal.number, {"value": (proposal.changes["rate"] - 0.3) ** 2})
        found.append(proposal.changes["rate"])
    assert max(abs(rate - 0.3) for rate in found[7:]) < 0.1  # a draw would be anywhere


@pytest.mark.parametrize("kind", ["random", "bayesian"])
@pytest.mark.parametrize("seed", range(3))
def test_the_last_point_of_a_space_is_found(tmp_path, kind, seed):
    bound = Range(1, 4, when=When("b", ("y",)))
    made = search(tmp_path, kind, {**GRID, "c": bound}, trials=99, seed=seed)
    done = run(made)
    assert made.exhausted
    assert len({str(sorted(changes.items())) for _, changes in done}) == len(done) == 15


@pytest.mark.parametrize("seed", range(3))
def test_trials_of_both_spaces_are_learned_from_and_it_goes_on(tmp_path, seed):
    space = {"a": Choice((2, 3, 4))}
    run(search(tmp_path, "bayesian", space, trials=3, seed=seed))
    wider = {"a": Range(2, 9), "b": Choice(("x", "y"))}
    made = search(tmp_path, "bayesian", wider, trials=9, seed=seed, extended=True)
    done = run(made)
    assert len(done) == 6
    every = [str(sorted(changes.items())) for changes, _ in made.ended.values()]
    assert len(set(every)) == 9
    assert len(made._oracle.others) == 3
    again = search(tmp_path, "bayesian", wider, trials=12, seed=seed)
    assert again.ended == made.ended
    assert len(run(again)) == 3


@pytest.mark.parametrize("kind", ["random", "bayesian", "grid"])
def test_chosen_points_that_failed_are_no_end_of_a_search(tmp_path, kind):
    points = [{"a": 3, "b": "y"}, {"b": "x", "a": 1}]
    made = search(tmp_path, kind, GRID, chosen=points, trials=20)
    for _ in points:
        made.end(made.propose().number, {"value": None})
    straight = run(made)
    assert len(straight) == 4
    again = search(tmp_path, kind, GRID, chosen=points, trials=20)
    assert again.ended == made.ended
    assert again.propose() is None
