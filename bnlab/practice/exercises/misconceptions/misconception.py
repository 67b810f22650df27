"""What is known of one mistake."""

from typing import NamedTuple


class Misconception(NamedTuple):
    """Why a mistake is one.

    Attributes:
        why: what the code does, what is right instead, and what difference it makes.
        see: where the course explains it; empty for mistakes that are not about batch norm.
    """

    why: str
    see: str
