"""The test before and after the course, item by item."""

from bnlab.practice.interview.pretest import NO_IDEA, Item, Kind, given, items, keep, outcome
from bnlab.practice.interview.room.talk import Left
from bnlab.practice.interview.room.visit import Room


def take(room: Room, kind: Kind) -> None:
    """Ask the items of a test that are still open, keep each choice at once, and say what comes of it."""
    talk = room.talk
    try:
        for number, item in enumerate(items(), start=1):
            if item.id not in given(kind, room.progress):
                keep(kind, {item.id: _choice(room, item, number)}, room.progress)
                room.tell_notice()
    except Left:
        pass
    answered = len(given(kind, room.progress))
    if answered < len(items()):
        talk.say(f"{answered} of {len(items())} answered and kept. `bnlab interview {kind}` goes on from there.")
    elif kind == "pretest":
        talk.say("Your answers are kept. After the course, `bnlab interview posttest` asks the same ten again.")
    else:
        found = outcome(room.progress)
        talk.say(found.headline, *found.message.split("\n\n"))


def _choice(room: Room, item: Item, number: int) -> str:
    room.talk.say(f"{number}. {item.question}")
    room.talk.say("\n".join(f"    {letter}  {text}" for letter, text in item.lettered.items()))

    def letter(line: str) -> str:
        if line and line.lower() not in item.lettered:
            raise ValueError(f"expected a, b, c or d, or Enter for no idea, got {line!r:.60}")
        return line.lower() or NO_IDEA

    chosen = room.talk.ask("Which one? (a, b, c or d; Enter: no idea)", letter)
    room.talk.write("")
    return chosen
