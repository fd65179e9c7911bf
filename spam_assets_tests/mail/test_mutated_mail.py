"""Mail that was broken on purpose goes through parser and features; `python -m benchmarks.mutations` tries 100,000."""

import pytest

from benchmarks.mutations import SEEDS, mutate_message, run_mutations


def test_a_message_can_be_made_again_from_its_number() -> None:
    first = [mutate_message(number, 7, SEEDS) for number in range(50)]
    assert first == [mutate_message(number, 7, SEEDS) for number in range(50)]
    assert len(set(first)) > 40


def test_what_crashes_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.mutations as mutations

    def break_on_nul(raw: bytes) -> None:
        assert b"\0" not in raw

    monkeypatch.setattr(mutations, "parse_message", break_on_nul)
    found = run_mutations(100, 7, SEEDS, lambda _: None)
    assert found.crashed
    number = int(found.crashed[0].partition(":")[0])
    assert b"\0" in mutate_message(number, 7, [*SEEDS, *SEEDS])


@pytest.mark.slow
def test_three_thousand_mutated_messages_crash_nothing() -> None:
    found = run_mutations(3000, 7, [], lambda _: None)
    assert (found.messages, found.crashed) == (3000, ())
