"""The traps of RabbitMQ as questions with answers."""

from resonate_broker.cli.traps import BY_DESIGN, QUESTIONS, answers


def test_without_trouble_each_question_has_a_good_answer():
    found = list(answers((), is_blind=False))

    assert [answer.question for answer in found] == [
        question.text for question in (*QUESTIONS.values(), *BY_DESIGN)
    ]
    assert all(answer.is_fine and answer.answer for answer in found)


def test_what_was_found_is_the_answer_to_its_question():
    trouble = [("limits", "policy p sets 3 on q"), ("limits", "policy p sets 3 on r")]

    (hit,) = [answer for answer in answers(trouble, is_blind=False) if not answer.is_fine]

    assert hit.question == QUESTIONS["limits"].text
    assert hit.answer == "policy p sets 3 on q; policy p sets 3 on r"


def test_who_cannot_look_does_not_say_that_all_is_well():
    found = list(answers((), is_blind=True))

    assert [answer.is_fine for answer in found] == [None] * len(QUESTIONS) + [True] * len(BY_DESIGN)
